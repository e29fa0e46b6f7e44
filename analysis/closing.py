"""What a sweep ends with: the result table and the paths of its figures."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis import drawing, table
from analysis.sources import run_store
from qae import terminal

FIGURES = ("entropy_and_pass", "advantage_shares", "entropy_by_sign")


def show(root: Path, run_ids: Sequence[str], figures_directory: Path) -> None:
    """Print the table of the runs and draw their figures.

    Args:
        root: the run store.
        run_ids: the sweep's runs, finished or not.
        figures_directory: where the figures go; its name is the sweep's.
    """
    console = terminal.console()
    runs = run_store.load(root, run_ids)
    results = table.summarise(runs)
    print_results(console, results)
    if not results.rows:
        return
    written = drawing.write(runs, FIGURES, figures_directory, ("png",), source=f"sweep '{figures_directory.name}'")
    for path in written.paths:
        console.print(f"figure: {path}", soft_wrap=True, highlight=False)
    for name, reason in written.left_out.items():
        console.print(f"figure {name} left out: {reason}", highlight=False)


def print_results(console: Console, results: table.Results) -> None:
    """Print the table, what its numbers are, and what is not in them."""
    if results.rows:
        terminal.show(console, table.rich_table(results), table.LEAST, "`qae table --csv` has them")
        console.print(table.caption(results), style="dim", highlight=False)
    else:
        console.print("No run has a step or an evaluation on disk yet, so there is nothing to show.")
    for note in results.notes:
        console.print(note, highlight=False)
