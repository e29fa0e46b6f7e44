"""A finding: what is wrong, where, and what to type."""

from dataclasses import dataclass
from enum import StrEnum

# What to type where numbers are gone for good.
AGAIN = "move its directory away and launch its sweep again"


class Severity(StrEnum):
    """What a finding means for the numbers."""

    ERROR = "error"  # a number is lost, doubled or wrong
    WARNING = "warning"  # something to tidy


class Mend(StrEnum):
    """What `--repair` does about a finding; nothing of it changes a number."""

    MOVE_TORN_LINE = "move the torn line aside"
    REMOVE_TEMPORARY = "remove the temporary file"
    MARK_INTERRUPTED = "mark the run as interrupted"


class Kind(StrEnum):
    """What is wrong; scripts find these words in ``--json``."""

    LAYOUT = "layout"
    CONFIG = "config"
    IDENTITY = "identity"
    STATE = "state"
    LEFT_RUNNING = "left running"
    NOT_QUEUED = "not queued"
    QUEUED_TWICE = "queued twice"
    INCOMPLETE = "incomplete"
    MISSING_STEPS = "missing steps"
    DOUBLED_STEP = "doubled step"
    DAMAGED_LINE = "damaged line"
    TORN_LINE = "torn line"
    EVALUATION = "evaluation"
    CHECKPOINT = "checkpoint"
    BEST_CHECKPOINT = "best checkpoint"
    TEMPORARY_FILE = "temporary file"
    TRACKING = "tracking"
    MANIFEST = "manifest"
    NO_DIRECTORY = "no directory"
    ORPHAN = "orphan"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        severity: see `Severity`.
        kind: see `Kind`.
        run: id of the run; empty where it is about the store.
        sentence: what, where, and what to type.
        mend: what `--repair` does about it; None where only the user can.
        path: of the file that `mend` is about, relative to the run's directory, or to the store's.
    """

    severity: Severity
    kind: Kind
    run: str
    sentence: str
    mend: Mend | None = None
    path: str = ""

    @property
    def is_error(self) -> bool:
        """Whether a number is lost, doubled or wrong."""
        return self.severity is Severity.ERROR


def error(kind: Kind, run: str, sentence: str) -> Finding:
    """A finding that a number is lost, doubled or wrong."""
    return Finding(Severity.ERROR, kind, run, sentence)


def warning(kind: Kind, run: str, sentence: str, mend: Mend | None = None, path: str = "") -> Finding:
    """A finding that something may be tidied."""
    return Finding(Severity.WARNING, kind, run, sentence, mend, path)
