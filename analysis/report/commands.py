"""`qae report`; registered as an entry point of the `qae` command."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.commands.arm_options import arm_options
from analysis.garbage import rare_collections
from analysis.imports import single_threaded_products, undocumented_artists
from qae.console.command_line import MistakeError, root_option, say

if TYPE_CHECKING:
    from analysis.runs.identity import ArmRule


@click.command(short_help="One HTML file about a sweep: tables, figures, data quality.")
@click.argument("source", required=False, metavar="[SWEEP|SOURCE]")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="FILE.html (default: ROOT/figures/NAME.html)."
)
@click.option("--figures/--no-figures", default=True, help="Draw figures, which takes most of the time.")
@arm_options
@root_option
@rare_collections()
@single_threaded_products()
def report(source: str | None, out: Path | None, root: Path, rule: "ArmRule", *, figures: bool) -> None:
    """Write one HTML file about a SWEEP (default: the one launched last): tables, figures, data quality.

    A SOURCE is what `qae export` takes: a run store, offline files of W&B, a W&B project, files of verl's logger.
    """
    if out is not None and out.suffix not in (".html", ".htm"):
        raise MistakeError(f"--out {out} cannot be written: end its name with .html")
    with undocumented_artists():
        from analysis import drawing
    from analysis.commands import choice, output
    from analysis.report import contents
    from qae.run_directory import write_atomic

    chosen = choice.choose(source, root, rule)
    path = output.file(out, root, Path("figures") / f"{chosen.name}.html")
    if figures:
        count = len(contents.figure_names())
        cores = drawing.processes(count)
        click.echo(f"drawing {count} figures on {cores} {'core' if cores == 1 else 'cores'} …", err=True)
    found = contents.collect(chosen.runs, chosen.title, chosen.source, with_figures=figures)
    from analysis.report import document

    with output.sentences():
        write_atomic(path, document.html(found).encode())
    say(path)
    if found.findings:
        number = len(found.findings)
        click.echo(f"{number} {'finding' if number == 1 else 'findings'} about the data, see its section", err=True)
