"""A thing that is wrong with the numbers of a run, as a record."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can be wrong."""

    UNFINISHED = "unfinished"
    MISSING_STEPS = "missing steps"
    SUPERSEDED = "rewritten steps"
    ORDER = "order of attempts"
    UNREADABLE = "unreadable"
    VALUES = "values that could not be used"
    INFINITE = "infinite values"
    STEPS = "steps that could not be used"
    SAMPLES = "samples that could not be judged"
    SETTINGS = "settings that could not be read"
    DUPLICATE = "same computation twice"
    IDENTITY = "arms and seeds"
    VERSIONS = "versions differ"
    NOTE = "left out"


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with a run's numbers.

    Attributes:
        kind: what.
        run: the run's id.
        text: a sentence.
        count: how many values, rows, steps or samples it concerns.
        what: the metric or key that it is about, or "".
        steps: where a metric's value is missing, which is why no number stands there.
    """

    kind: Kind
    run: str
    text: str
    count: int = 1
    what: str = ""
    steps: tuple[int, ...] = ()
