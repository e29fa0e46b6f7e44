"""Which runs a report or a dashboard is about: a sweep of the store, or any other source."""

from dataclasses import dataclass
from pathlib import Path

from analysis import flaws, sources
from analysis.commands import chosen_sweep
from analysis.runs import Runs
from analysis.sources import run_store
from analysis.wording import exists, shown_source
from qae.command_line import MistakeError, say
from qae.text import file_name, one_line


@dataclass(frozen=True)
class Choice:
    """Runs and what to call them.

    Attributes:
        runs: the runs.
        name: a file's name without its ending.
        title: for people.
        source: where the runs come from, for captions.
    """

    runs: Runs
    name: str
    title: str
    source: str


def choose(source: str | None, root: Path) -> Choice:
    """The sweep launched last where no source is given, a sweep by its name, or another source.

    Raises:
        MistakeError: there is no such sweep or source, or it holds no run.
    """
    if source is None or exists(str(root / "sweeps" / f"{source}.json")) or not _is_place(source):
        sweep, run_ids = chosen_sweep(root, source)
        choice = Choice(run_store.load(root, run_ids), sweep, f"Sweep {sweep}", f"sweep '{sweep}'")
    else:
        shown = shown_source(source)
        choice = Choice(_load(source, root), _file_name(source), f"Runs of {shown}", shown)
    if not choice.runs.records:
        raise MistakeError(f"{choice.source} holds no run that can be read; `qae status` lists those of {root}")
    tell(choice.runs)
    return choice


def tell(runs: Runs) -> None:
    """Say on standard error, a sentence a kind, what of the runs' numbers could not be used."""
    found = flaws.of(runs)
    for sentence in flaws.summary(found):
        say(one_line(f"Note: {sentence}"), err=True)
    if found:
        say("The data quality section of `qae report` has all of it.", err=True)


def _load(source: str, root: Path) -> Runs:
    try:
        return sources.load(source, root=root)
    except sources.SourceError as error:
        raise MistakeError(str(error)) from error


def _is_place(source: str) -> bool:
    return "/" in source or exists(source)


def _file_name(source: str) -> str:
    return file_name(source.removeprefix("wandb://"), "report")
