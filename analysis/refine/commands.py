"""`qae refine`; registered as an entry point of the `qae` command."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.commands.arm_options import arm_options
from analysis.wording import hint, seeds_in_words, signed
from qae.console.command_line import MistakeError, root_option, say
from qae.console.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.comparison import Pair
    from analysis.refine.needs import Need, Question
    from analysis.runs.frames import ArmName, Runs
    from analysis.runs.identity import ArmRule

_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command(short_help="How many more seeds would tell arms apart; starts them.")
@click.argument("sources", nargs=-1, metavar="[SWEEP|SOURCE]...")
@click.option("--measure", "--metric", "measure", default="pass@1", show_default=True, help="As in `qae compare`.")
@click.option("--between", nargs=2, metavar="ARM ARM", help="Two arms by their names in `qae table`.")
@click.option("--confidence", type=_SHARE, default=0.95, show_default=True, help="Of all tests together.")
@click.option("--power", type=_SHARE, default=0.8, show_default=True, help="Chance that a true difference is seen.")
@click.option(
    "--difference", type=click.FloatRange(0, min_open=True), help="The difference to be seen (default: the one seen)."
)
@click.option("--most", type=click.IntRange(2), default=64, show_default=True, help="No more seeds an arm.")
@click.option("--launch", "launches", is_flag=True, help="Start the command here and wait for it.")
@arm_options
@root_option
def refine(
    sources: tuple[str, ...],
    measure: str,
    between: tuple[str, str] | None,
    confidence: float,
    power: float,
    difference: float | None,
    most: int,
    launches: bool,
    root: Path,
    rule: "ArmRule",
) -> None:
    """How many more seeds would tell arms apart, and the command that trains them.

    Without --between: the pairs of `qae compare` (each baseline with the mean, each variant with the plain one) that
    are not told apart yet.
    """
    from analysis import comparison
    from analysis.commands import choice
    from analysis.refine import launch
    from analysis.refine.needs import Question, needs

    chosen = choice.choose_all(sources, root, rule)
    name, runs = chosen.source, chosen.runs
    try:
        measures = comparison.measures_of(runs, [measure])
    except ValueError as error:
        raise MistakeError(str(error)) from error
    if measure not in measures:
        raise MistakeError(f"there is no measure '{measure}'; {hint(measure, list(measures))}")
    question = Question(measures[measure], confidence, power, difference, most)
    pairs = _pairs(runs, between, name)
    found = needs(runs, pairs, question)
    told = {(need.first, need.second, measure) for need in found}
    absent = comparison.left_out(runs, pairs, [question.measure], told)
    if not found:
        raise MistakeError(f"nothing of {name} can be compared; `qae table` shows its arms. {' '.join(absent)}")
    missing = _show(found, question, runs)
    for note in (*absent, *runs.all_notes):
        say(one_line(note), err=True)
    try:
        commands = launch.commands(runs, missing, root)
        for command in commands:
            launch.check(command)
            say(f"\n{command}")
    except launch.UnknownCommandError as error:
        raise MistakeError(str(error)) from error
    if launches and (failed := [status for command in commands if (status := launch.start(command))]):
        raise click.exceptions.Exit(failed[0])


def _pairs(runs: "Runs", between: tuple[str, str] | None, name: str) -> "list[Pair]":
    from analysis import comparison
    from analysis.commands.results import arm_called

    if between is None:
        return comparison.default_pairs(runs)
    first, second = (arm_called(runs, wanted, name) for wanted in between)
    if first == second:
        raise MistakeError(f"--between {first.shown} {second.shown}: give two different arms")
    return [(first, second)]


def _show(found: "Sequence[Need]", question: "Question", runs: "Runs") -> "dict[ArmName, tuple[int, ...]]":
    """Say what each pair takes; the seeds that each arm lacks for all of them."""
    from analysis.refine.needs import missing_seeds

    if len(found) > 1:
        click.echo(f"{len(found)} pairs, each tested at {found[0].level:.4f}, so that {question.confidence:.0%} hold.")
    missing: dict[ArmName, tuple[int, ...]] = {}
    for need in found:
        say(_seen(need, question))
        if need.is_separated and question.difference is None:
            click.echo("  told apart already.")
        elif need.needed is None or need.needed > question.most:
            click.echo(f"  {_too_many(need, question)}")
        else:
            lacking = dict(missing_seeds(need, runs))
            say(f"  {_enough(need, question)} To be trained: {_listed(lacking)}.")
            for arm, seeds in lacking.items():
                missing[arm] = tuple(sorted({*missing.get(arm, ()), *seeds}))
    return missing


def _seen(need: "Need", question: "Question") -> str:
    digits, of = question.measure.digits, need.of
    interval = f" [{of.low:+.{digits}f}, {of.high:+.{digits}f}]" if len(need.seeds) > 1 else ""
    problems = f", {of.problems} problems" if of.problems > 1 else ""
    return (
        f"{need.first.shown} - {need.second.shown}, {question.measure.label}: {signed(of.value, digits)}{interval} "
        f"({seeds_in_words(len(need.seeds))}{problems}, step {need.step})"
    )


def _enough(need: "Need", question: "Question") -> str:
    which = "the seen difference" if question.difference is None else f"a difference of {question.difference:g}"
    rough = "" if len(need.seeds) > 4 else f"; rough, for the variance is that of {seeds_in_words(len(need.seeds))}"
    return (
        f"{need.needed} seeds an arm would show {which}, if it is the true one, with a chance of "
        f"{question.power:.0%}{rough}."
    )


def _too_many(need: "Need", question: "Question") -> str:
    if len(need.seeds) < 2:
        return "one common seed shows no spread between seeds: train a second one of both first."
    if not math.isfinite(need.wanted):
        return "a run of these has an infinite value: nothing can be said of a spread."
    size = f"a difference of {need.wanted:.2g}"
    if need.needed is None and need.of.problems > 1:
        return f"no number of seeds separates {size} on these problems: take more problems."
    if need.needed is None:
        return f"no number of seeds up to 10,000 separates {size}."
    return f"nothing sensible separates {size}: it takes {need.needed} seeds an arm, more than --most {question.most}."


def _listed(lacking: "dict[ArmName, tuple[int, ...]]") -> str:
    parts = [f"{arm.shown}: {', '.join(_stretches(seeds))}" for arm, seeds in lacking.items() if seeds]
    return "; ".join(parts) or "nothing"


def _stretches(seeds: "Sequence[int]") -> "list[str]":
    """Ascending seeds in few words: 14, 16 to 19."""
    firsts = [seed for seed in seeds if seed - 1 not in seeds]
    lasts = [seed for seed in seeds if seed + 1 not in seeds]
    return [str(first) if first == last else f"{first} to {last}" for first, last in zip(firsts, lasts, strict=True)]
