"""Which figures the words of `qae figures` mean, and which runs those of the paper are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import figures
from analysis.figures import paper
from analysis.runs.frames import Runs
from analysis.runs.identity import DEFAULT, ArmRule, UnknownKeyError
from analysis.sources import SourceError, loading, manifests, run_store
from analysis.sources.joining import join
from analysis.wording import hint
from qae.console.command_line import MistakeError

ALL_OF_THE_PAPER = "paper"


class UnknownNameError(ValueError):
    """A word names neither source nor figure; the text is a sentence on what was meant."""


@dataclass(frozen=True)
class Choice:
    """What is to be drawn.

    Attributes:
        source: whose runs, a sweep or another source; None: the sweep launched last, or for figures of the paper the
            runs that their experiments made.
        names: of the figures; none: all that draw any runs.
        of_paper: whether they are figures of the paper.
    """

    source: str | None
    names: tuple[str, ...]
    of_paper: bool


def choose(words: Sequence[str], source: str | None, root: Path) -> Choice:
    """Which figures and runs the words of a command line name.

    A word that is a figure is one, whatever else has its name; only in front of figures that draw any runs a sweep's
    name is the sweep. So `fig9` alone is the figure of the paper, and `fig9 curves` are curves of the sweep.

    Args:
        words: [SWEEP|SOURCE] [NAME]…
        source: what `--sweep` says; all words are then names.
        root: the run store.

    Raises:
        UnknownNameError: a word that is no figure.
    """
    of_paper = [name for word in words for name in _of_paper(word)]
    if words and all(_of_paper(word) for word in words):
        return Choice(source, tuple(dict.fromkeys(of_paper)), of_paper=True)
    names = list(words)
    if source is None and names and _is_source(names[0], root):
        source, *names = names
    known = [*figures.names(), *paper.names()]
    for name in names:
        if not (name in known or _of_paper(name)):
            known_as = "give runs first, or by --sweep" if loading.is_place(name) else hint(name, known)
            raise UnknownNameError(f"there is no figure '{name}'; {known_as}")
    expanded = [found for name in names for found in (_of_paper(name) or (name,))]
    return Choice(source, tuple(dict.fromkeys(expanded)), of_paper=False)


def runs_for_paper(root: Path, names: Sequence[str], rule: ArmRule = DEFAULT) -> Runs:
    """Runs of the experiments of figures of the paper, or where one was not launched all of the store.

    Raises:
        MistakeError: a key of the rule is in none, or the store cannot be read.
    """
    experiments = sorted({paper.needs_of(name).experiment for name in names})
    try:
        return join([run_store.load(root, _runs_of(root, experiments))], rule)
    except (SourceError, UnknownKeyError) as error:
        raise MistakeError(str(error)) from error


def _is_source(word: str, root: Path) -> bool:
    """Whether the first word says where the runs come from.

    Raises:
        UnknownNameError: it is nothing.
    """
    if manifests.has(root, word):
        return True
    if word in figures.names() or _of_paper(word):
        return False
    if loading.is_place(word):
        return True
    sweeps, known = manifests.names(root), [*figures.names(), *paper.names()]
    close = hint(word, [*sweeps, *known])
    if close in (f"did you mean {name}?" for name in sweeps):
        raise UnknownNameError(f"there is no sweep '{word}' in {root}; {close}")
    of_sweeps = f", and sweeps: {', '.join(sweeps)}" if sweeps and not close.startswith("did") else ""
    raise UnknownNameError(
        f"'{word}' is no figure, no sweep in {root}, no file and no folder; "
        f"{close if close.startswith('did') else hint(word, known)}{of_sweeps}"
    )


def _of_paper(word: str) -> tuple[str, ...]:
    """The figures of the paper that a word means: one, those of an experiment (`fig5`), or all of them (`paper`)."""
    if word in paper.names():
        return (word,)
    return paper.names() if word == ALL_OF_THE_PAPER else paper.of_experiment(word)


def _runs_of(root: Path, experiments: Sequence[str]) -> list[str] | None:
    """Run ids of the sweeps; None where one was not launched or its list cannot be read."""
    try:
        return list(dict.fromkeys(run for name in experiments for run in manifests.run_ids(root, name)))
    except SourceError:
        return None
