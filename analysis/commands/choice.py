"""Which runs a command is about: a sweep of the store, or any other source. One reading for every command."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis import sources
from analysis.runs import flaws
from analysis.runs.frames import Runs
from analysis.runs.identity import DEFAULT, ArmRule, UnknownKeyError
from analysis.sources import loading, manifests, run_store
from analysis.sources.joining import join
from analysis.wording import hint
from qae.console.command_line import MistakeError, say
from qae.console.text import one_line


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


def choose(source: str | None, root: Path, rule: ArmRule = DEFAULT) -> Choice:
    """The sweep launched last where no source is given, a sweep by its name, or another source.

    A store whose lists of sweeps are gone or damaged has no last sweep: all its runs are taken, and a note says so.

    Args:
        source: what the user wrote.
        root: the run store.
        rule: what the user says of keys.

    Raises:
        MistakeError: there is no such sweep or source, it holds no run, or a key of the rule is in none.
    """
    return choose_all((source,), root, rule)


def choose_all(words: Sequence[str | None], root: Path, rule: ArmRule = DEFAULT) -> Choice:
    """Several sources as one, each as `choose` reads it; no word at all means the sweep launched last.

    Raises:
        MistakeError: as `choose`.
    """
    try:
        chosen = [_choose(word, root) for word in dict.fromkeys(words or (None,))]
        runs = join([each.runs for each in chosen], rule)
    except (sources.SourceError, UnknownKeyError) as error:
        raise MistakeError(str(error)) from error
    first = chosen[0]
    if len(chosen) == 1:
        return replace(first, runs=runs)
    shown = ", ".join(each.source for each in chosen)
    return Choice(runs, "-".join(each.name for each in chosen), f"Runs of {shown}", shown)


def _choose(source: str | None, root: Path) -> Choice:
    if source is None:
        choice = _latest(root)
    elif manifests.has(root, source):
        choice = _sweep(root, source)
    elif loading.is_place(source):
        runs = sources.load(source, root=root)
        shown = loading.shown(source)
        choice = Choice(runs, loading.name_of(source), f"Runs of {shown}", shown)
    else:
        raise MistakeError(_no_sweep(source, root))
    if not choice.runs.records:
        raise MistakeError(f"{choice.source} holds no run that can be read; `qae status` lists those of {root}")
    tell(choice.runs)
    return choice


def tell(runs: Runs) -> None:
    """Say on standard error, one sentence per kind, what of the runs' numbers could not be used."""
    found = flaws.of(runs)
    for sentence in flaws.summary(found):
        say(one_line(f"Note: {sentence}"), err=True)
    if found:
        say("The data quality section of `qae report` has all of it.", err=True)


def _latest(root: Path) -> Choice:
    known = manifests.names(root)
    why = f"{root} has no list of its sweeps"
    if known:
        try:
            return _sweep(root, known[0])
        except sources.SourceError as error:
            why = str(error).partition(";")[0]
    if not run_store.ids(root):
        raise MistakeError(f"{why}, and no run; `python sweep.py -m` makes one")
    runs = run_store.load(root)
    noted = replace(runs, notes=(f"{why}, so these are all runs of the store.", *runs.notes))
    shown = loading.shown(str(root))
    return Choice(noted, loading.name_of(str(root)), f"Runs of {shown}", shown)


def _sweep(root: Path, name: str) -> Choice:
    return Choice(run_store.load(root, manifests.run_ids(root, name)), name, f"Sweep {name}", f"sweep '{name}'")


def _no_sweep(word: str, root: Path) -> str:
    known = manifests.names(root)
    if not known:
        return (
            f"there is no sweep in {root}; `python sweep.py -m` makes one. '{word}' is no file and no folder either: "
            f"{loading.allowed()}"
        )
    near = hint(word, known)
    if near.startswith("did"):
        return f"there is no sweep '{word}' in {root}; {near}"
    return f"there is no sweep '{word}' in {root}, and no file or folder of that name; {near}; {loading.allowed()}"
