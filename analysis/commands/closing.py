"""What a sweep ends with: the result table and the paths of its figures."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis import table
from analysis.commands import output
from analysis.imports import undocumented_artists
from analysis.sources import run_store
from qae.console import terminal
from qae.console.command_line import MistakeError
from qae.console.literal import literal
from qae.console.text import one_line

FIGURES = ("entropy_and_pass", "advantage_shares", "entropy_by_sign")


def show(root: Path, run_ids: Sequence[str], sweep: str) -> None:
    """Print the table of the runs and draw their figures, below the store or where that cannot be written, here.

    Args:
        root: the run store.
        run_ids: the sweep's runs, finished or not.
        sweep: its name.
    """
    with undocumented_artists():  # here, as `qae table` prints by this module and draws nothing
        from analysis import drawing

    console = terminal.console()
    runs = run_store.load(root, run_ids)
    results = table.summarise(runs)
    print_results(console, results)
    if not results.rows:
        return
    try:
        folder = output.folder(None, root, Path("figures", sweep))
        with output.sentences():
            written = drawing.write(runs, FIGURES, folder, ("png",), source=f"sweep '{sweep}'")
    except MistakeError as error:
        console.print(literal(f"no figures: {error}"))
        return
    for path in written.paths:
        console.print(literal(f"figure: {path}"), soft_wrap=True)
    for name, reason in written.left_out.items():
        console.print(literal(f"figure {name} left out: {reason}"))


def print_results(console: Console, results: table.Results) -> None:
    """Print the table, what its numbers are, and what is not in them."""
    if results.rows:
        terminal.show(console, table.rich_table(results), table.LEAST, "`qae table --csv` has them")
        console.print(literal(table.caption(results), "dim"))
    else:
        console.print("No run has a step or an evaluation on disk yet, so there is nothing to show.")
    for note in results.notes:
        console.print(literal(one_line(note)))
