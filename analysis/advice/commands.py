"""`qae advise`; registered as an entry point of the `qae` command."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.commands.arm_options import arm_options
from qae.console import terminal
from qae.console.command_line import MistakeError, root_option, say
from qae.console.literal import literal
from qae.console.text import one_line

if TYPE_CHECKING:
    from analysis.runs.identity import ArmRule


@click.command(short_help="What first steps show of entropy, and what each K would do.")
@click.argument("sources", nargs=-1, metavar="[SWEEP|SOURCE]...")
@click.option("--steps", type=click.IntRange(min=1), help="Look at so many first steps of the mean (default: all).")
@click.option("--json", "as_json", is_flag=True, help="One object per arm of the mean.")
@arm_options
@root_option
def advise(sources: tuple[str, ...], steps: int | None, as_json: bool, root: Path, rule: "ArmRule") -> None:
    """What the first steps of the mean show, what each K would do to its advantages, and what trained baselines earn.

    SOURCE is a sweep of the store (default: the one launched last) or as in `qae export`; several are taken together.
    """
    from analysis.advice import advise as advising
    from analysis.commands import choice

    chosen = choice.choose_all(sources, root, rule)
    name, runs = chosen.source, chosen.runs
    if not advising.baselines(runs):
        raise MistakeError(
            f"no run of {name} has the mean as its baseline; `python sweep.py algorithm.quantile_k=-1` is one"
        )
    found, left_out = advising.advise_all(runs, steps)
    if not found:
        raise MistakeError(left_out[0])
    if as_json:
        click.echo(json.dumps([advising.record(advice) for advice in found], indent=2))
        return
    console = terminal.console()
    for advice in found:
        for line in advising.lines(advice):
            say(line)
        if advice.forecasts:
            terminal.show(console, advising.table(advice), advising.LEAST, "--json has them")
            console.print(literal(advising.caption(advice), "dim"))
        else:
            click.echo("  zero advantages are not predicted: the runs do not log the shares that they follow from.")
    for sentence in (*left_out, *runs.all_notes):
        say(one_line(sentence), err=True)
