"""A line of the doctor's report."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a finding means for the run."""

    OK = "ok"
    WARN = "warn"  # it runs, with a risk or a delay
    FAIL = "fail"  # it cannot run


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        name: what was looked at, a word or two.
        level: what it means.
        message: what was found.
        fix: what to do; empty where nothing is to be done.
    """

    name: str
    level: Level
    message: str
    fix: str = ""
