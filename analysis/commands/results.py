"""`qae table`, `compare`, `figures` and `gallery`; registered as entry points of the `qae` command."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.commands.arm_options import arm_options
from analysis.imports import single_threaded_products, undocumented_artists
from analysis.wording import hint
from qae.console import terminal
from qae.console.command_line import Command, MistakeError, root_option, say
from qae.console.literal import literal
from qae.console.text import brief, encodable, one_line
from qae.files import numbers

if TYPE_CHECKING:
    import pandas as pd

    from analysis.runs.frames import ArmName, Runs
    from analysis.runs.identity import ArmRule


def _form_options(of_a_row: str) -> Callable[[Command], Command]:
    """``--csv``, ``--json`` and ``--markdown`` of a command that prints a table otherwise."""

    def add(function: Command) -> Command:
        for form, help_text in (
            ("markdown", "For a document."),
            ("json", f"One object {of_a_row}."),
            ("csv", f"One row {of_a_row}, one column per number."),
        ):
            function = click.option(f"--{form}", "form", flag_value=form, help=help_text)(function)
        return function

    return add


def _echo(form: str, markdown: str, frame: "pd.DataFrame", notes: Iterable[str]) -> None:
    """Print a table; notes go to standard error, so that a program can read the table."""
    for note in notes:
        say(one_line(note), err=True)
    if form == "markdown":
        click.echo(markdown)
    elif form == "csv":
        click.echo(encodable(frame.to_csv(index=False)), nl=False, color=True)  # the exact text, escape sequences too
    else:
        # JSON has no infinity, which pandas would turn into null.
        spelled = frame.astype(object).where(~frame.isin([math.inf, -math.inf]), frame.map(numbers.spelled))
        click.echo(spelled.to_json(orient="records", indent=2))


@click.command(short_help="The result table of a sweep.")
@click.argument("sweep", required=False, metavar="[SWEEP|SOURCE]")
@_form_options("per arm")
@arm_options
@root_option
def table(sweep: str | None, form: str | None, root: Path, rule: "ArmRule") -> None:
    """The result table of SWEEP (default: the one launched last), or of a SOURCE as in `qae export`."""
    from analysis import table as tables
    from analysis.commands import choice

    chosen = choice.choose(sweep, root, rule)
    results = tables.summarise(chosen.runs)
    if not results.rows:
        raise MistakeError(_nothing_to_show(chosen.runs, chosen.source))
    if form is None:
        from analysis.commands.closing import print_results

        print_results(terminal.console(), results)
    else:
        _echo(form, tables.markdown(results), tables.frame(results), results.notes)


def _nothing_to_show(runs: "Runs", source: str) -> str:
    from analysis.table import names_logged
    from qae import metrics

    logged = next(filter(None, (names_logged(runs, arm) for arm in runs.arms)), "")
    if not logged:
        return f"no run of {source} has a step on disk yet; `qae status` shows where they stand"
    return (
        f"the table has no column for what the runs of {source} have logged: {logged}; log the entropy as "
        f"{metrics.ENTROPY.name}, the length as {metrics.LENGTH_MEAN.name} and pass@1 as {metrics.pass_at(1).name}"
    )


@click.command(short_help="Differences between arms, with intervals that hold together.")
@click.argument("sweep", required=False, metavar="[SWEEP|SOURCE]")
@click.option("--against", metavar="ARM", help="Compare every other arm with this one, by its name in `qae table`.")
@click.option("--measure", "names", multiple=True, help="pass@4, 'peak entropy', …; with commas, or several times.")
@click.option("--step", type=click.IntRange(min=1), help="Compare at this step (default: the last that both have).")
@_form_options("per difference")
@arm_options
@root_option
def compare(
    sweep: str | None,
    against: str | None,
    names: tuple[str, ...],
    step: int | None,
    form: str | None,
    root: Path,
    rule: "ArmRule",
) -> None:
    """Differences between the arms of SWEEP (default: the one launched last) on the same seeds and problems.

    A SOURCE is one of `qae export`, a W&B project (entity/project) for one; without counts a problem, pass@k is the
    number that each run has logged.

    Without --against: each baseline with the mean of the same variant, and each variant with the plain one. The fewer
    differences a table holds, the narrower are its intervals: ask for those that you want to know.
    """
    from analysis import comparison
    from analysis.commands import choice

    selected = choice.choose(sweep, root, rule)
    name, runs = sweep or selected.name, selected.runs
    names = tuple(part.strip() for typed in names for part in typed.split(","))
    try:
        measures = comparison.measures_of(runs, names)
    except ValueError as error:
        raise MistakeError(str(error)) from error
    for wanted in names:
        if wanted not in measures:
            raise MistakeError(f"there is no measure '{wanted}'; {hint(wanted, list(measures))}")
    pairs = (
        comparison.default_pairs(runs) if against is None else comparison.against(runs, arm_called(runs, against, name))
    )
    chosen = [measures[wanted] for wanted in dict.fromkeys(names)] or comparison.MEASURES
    found = comparison.compare(runs, pairs, chosen, step=step)
    absent = comparison.left_out(runs, pairs, chosen, {(of.first, of.second, of.measure.name) for of in found})
    if not found:
        raise MistakeError(f"nothing of {name} can be compared; `qae table {name}` shows its arms. {' '.join(absent)}")
    notes = (*absent, *runs.all_notes)
    if form is None:
        console = terminal.console()
        terminal.show(console, comparison.rich_table(found), comparison.LEAST, "--csv has them")
        for text in (comparison.caption(found), *notes):
            console.print(literal(one_line(text), "dim"))
    else:
        _echo(form, comparison.markdown(found), comparison.records(found), notes)


@click.command(short_help="Draw figures.")
@click.argument("words", nargs=-1, metavar="[SWEEP|SOURCE] [NAME]...")
@click.option("--sweep", "chosen", metavar="SWEEP|SOURCE", help="Draw from these runs, figures of the paper too.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder (default: ROOT/figures/SOURCE, or …/paper).")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["png", "svg", "pdf"]),
    multiple=True,
    default=("png", "svg", "pdf"),
    help="File format; can be given several times (default: all).",
)
@arm_options
@root_option
@single_threaded_products()
def figures(
    words: tuple[str, ...],
    chosen: str | None,
    out: Path | None,
    formats: tuple[str, ...],
    root: Path,
    rule: "ArmRule",
) -> None:
    """Draw NAMES (default: every figure that the runs have the data for) of a SWEEP or SOURCE as in `qae table`.

    A figure or table of the paper is drawn by its name alone, from the runs that its experiment made or, without
    these, from any of the store that fit: `qae figures fig9`, `qae figures table2 k_response`, `qae figures paper`.
    From other runs: `qae figures SOURCE fig9`. A word that is both a figure and a source is the figure; ./WORD is the
    folder.
    """
    with undocumented_artists():
        from analysis import drawing
    from analysis import figures as of_any_runs
    from analysis.commands import choice, figure_choice, output
    from analysis.sources import SourceError

    try:
        wanted = figure_choice.choose(words, chosen, root)
    except (figure_choice.UnknownNameError, SourceError) as error:
        raise MistakeError(str(error)) from error
    if wanted.of_paper and chosen is None:
        runs, name = figure_choice.runs_for_paper(root, wanted.names, rule), figure_choice.ALL_OF_THE_PAPER
        choice.tell(runs)
        source = f"run store {root.name}"
    else:
        found = choice.choose(wanted.source, root, rule)
        runs, name, source = found.runs, found.name, found.source
    folder = output.folder(out, root, Path("figures", name))
    with output.sentences():
        written = drawing.write(runs, wanted.names or of_any_runs.names(), folder, formats, source=source)
    for path in written.paths:
        say(path)
    for note in runs.all_notes:
        say(one_line(note), err=True)
    for name, sentence in written.remarks.items():
        say(f"{name}: {sentence}", err=True)
    for name, reason in written.left_out.items():
        say(f"{name} left out: {reason}", err=True)
    if not written.paths:
        raise MistakeError("no figure could be drawn from these runs")


@click.command(short_help="Draw every figure and table of the paper, and their page.")
@click.option(
    "--out", "page", type=click.Path(path_type=Path), default=Path("docs/gallery.md"), show_default=True, help="Page."
)
@root_option
def gallery(page: Path, root: Path) -> None:
    """Draw every figure and table of the paper from the store's runs into one Markdown page, with its pictures.

    Pictures go to images/gallery beside the page. What runs are missing is said, with the command that makes them.
    """
    from analysis import gallery as pages
    from analysis.commands import output
    from analysis.sources import SourceError, run_store

    output.folder(page.parent, root, Path())
    try:
        runs = run_store.load(root)
    except SourceError as error:
        raise MistakeError(str(error)) from error
    with output.sentences():
        written = pages.write(runs, page, page.parent / "images" / "gallery", source=f"run store {root.name}")
    for name, sentence in {**written.remarks, **written.left_out}.items():
        say(f"{name}: {sentence}", err=True)
    megabytes = sum(path.stat().st_size for path in written.pictures) / 1e6
    say(f"{written.page}: {len(written.pictures)} pictures, {megabytes:.1f} MB")


def arm_called(runs: "Runs", name: str, source: str) -> "ArmName":
    """The arm of a name, whole or as tables show it.

    Raises:
        MistakeError: there is none.
    """
    found = runs.arm_called(name)
    if found is None:
        known = [arm.shown for arm in runs.arms]
        raise MistakeError(f"there is no arm '{brief(name)}' in {source}; {hint(name, known)}")
    return found
