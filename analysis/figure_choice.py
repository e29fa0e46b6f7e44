"""Which figures the words of `qae figures` mean, and which runs those of the paper are drawn from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import drawing, figures
from analysis.figures import paper
from analysis.sources import run_store
from analysis.wording import hint

ALL_OF_THE_PAPER = "paper"


class UnknownNameError(ValueError):
    """A word names neither sweep nor figure; the text is a sentence on what was meant."""


@dataclass(frozen=True)
class Choice:
    """What is to be drawn.

    Attributes:
        sweep: whose runs; None: the one launched last, or for figures of the paper those that their experiments made.
        names: of the figures; none: all that draw any runs.
        of_paper: whether they are figures of the paper.
    """

    sweep: str | None
    names: tuple[str, ...]
    of_paper: bool


def choose(words: Sequence[str], sweep: str | None, sweeps: Sequence[str]) -> Choice:
    """Read the words.

    A word that is a sweep and a figure of the paper (`fig9`) is the figure, unless general figures follow it.

    Args:
        words: [SWEEP] [NAME]…
        sweep: what `--sweep` says; all words are then names.
        sweeps: known ones.

    Raises:
        UnknownNameError: a word that is no figure.
    """
    of_paper = [name for word in words for name in _of_paper(word)]
    if words and all(_of_paper(word) for word in words):
        return Choice(sweep, tuple(dict.fromkeys(of_paper)), of_paper=True)
    names = list(words)
    if sweep is None and names and (names[0] in sweeps or names[0] not in figures.names()):
        sweep, *names = names
    known = [*figures.names(), *paper.names()]
    for name in names:
        if not (name in known or _of_paper(name)):
            raise UnknownNameError(f"there is no figure '{name}'; {hint(name, known)}")
    expanded = [found for name in names for found in (_of_paper(name) or (name,))]
    return Choice(sweep, tuple(dict.fromkeys(expanded)), of_paper=False)


def draw_paper(
    root: Path, names: Sequence[str], sweeps: Sequence[str], directory: Path, formats: Sequence[str]
) -> drawing.Written:
    """Draw figures of the paper from the sweeps of their experiments, or where one was not launched from all runs."""
    experiments = {paper.needs_of(name).experiment for name in names}
    run_ids = _runs_of(root, experiments) if experiments <= set(sweeps) else None
    return drawing.write(run_store.load(root, run_ids), names, directory, formats, source=f"run store {root.name}")


def _of_paper(word: str) -> tuple[str, ...]:
    """The figures of the paper that a word means: one, those of an experiment (`fig5`), or all of them (`paper`)."""
    if word in paper.names():
        return (word,)
    return paper.names() if word == ALL_OF_THE_PAPER else paper.of_experiment(word)


def _runs_of(root: Path, experiments: set[str]) -> list[str] | None:
    """Run ids of the sweeps; None where a manifest cannot be read."""
    try:
        manifests = [json.loads((root / "sweeps" / f"{name}.json").read_text()) for name in sorted(experiments)]
        return list(dict.fromkeys(str(run["id"]) for manifest in manifests for run in manifest["runs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
