"""What a sweep ends with: the result table and the paths of its figures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from analysis import table
from analysis.figures import MissingDataError, available
from analysis.runs import Runs, load

CLOSING_FIGURES = ("entropy_and_pass", "advantage_shares", "entropy_by_sign")


def show(root: Path, run_ids: Sequence[str], figures_directory: Path) -> None:
    """Print the table of the runs and draw their figures.

    Args:
        root: the run store.
        run_ids: the sweep's runs.
        figures_directory: where the figures go; its name is the sweep's.
    """
    console = Console()
    runs = load(root, run_ids)
    results = table.summarise(runs)
    if not results:
        console.print("No run has finished a step yet, so there is nothing to show.")
        return
    console.print(table.rich_table(results))
    damaged = sum(record.damaged for record in runs.records)
    if damaged:
        console.print(f"{damaged} lines of the runs' files could not be read and were left out.")
    for path in write_figures(runs, CLOSING_FIGURES, figures_directory, ("png",), source=figures_directory.name):
        console.print(f"figure: {path}", soft_wrap=True, highlight=False)


def write_figures(
    runs: Runs, names: Iterable[str], directory: Path, formats: Sequence[str], *, source: str
) -> list[Path]:
    """Draw figures to files; one that lacks its data is left out.

    Returns:
        the paths, a figure after the other.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    modules = available()
    for name in names:
        try:
            figure = modules[name].draw(runs, f"sweep '{source}'")
        except MissingDataError:
            continue
        for suffix in formats:
            path = directory / f"{name}.{suffix}"
            figure.savefig(path, metadata={"Date": None} if suffix == "svg" else None)
            paths.append(path)
    return paths
