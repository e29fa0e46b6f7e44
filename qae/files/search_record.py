"""Where a search keeps its study and what its trials note; `sweeps.search` writes it, `analysis` reads it.

The study is Optuna's, in a journal file that any of its tools opens.
"""

from enum import StrEnum
from pathlib import Path

FOLDER = "searches"


class StudyNote(StrEnum):
    """User attributes of the study."""

    DEFINITION = "definition"  # what makes it another study: the space, the seeds, the objectives, what is fixed


class TrialNote(StrEnum):
    """User attributes of a trial."""

    OWNER = "owner"  # name of the process that looks after it
    OVERRIDES = "overrides"  # what it sets, ``key=value``
    RUNS = "runs"  # run ids by seed, of those that were started or looked up
    ENDING = "ending"  # how and why it is ended early: {"as": "pruned" or "fail", "reason": a sentence}
    SPARED = "spared"  # why it has fewer seeds than others, in a sentence
    CONSTRAINTS = "constraints"  # one number a bound, above 0 where it is violated
    WARM = "warm"  # its runs were there before the search


def folder(root: Path, name: str) -> Path:
    """What belongs to a search.

    Args:
        root: of the run store.
        name: of the search, which is the sweep's.
    """
    return root / FOLDER / name


def journal(root: Path, name: str) -> Path:
    """The journal file of a search's study."""
    return folder(root, name) / "journal.log"
