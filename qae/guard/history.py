"""What a rule looks at: a run's metrics so far, one record per step."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from qae.checks import is_number
from qae.run_directory import RunDirectory, logged_steps


@dataclass(frozen=True)
class StepRecord:
    """A step's metrics.

    Attributes:
        step: global step; 0 is the evaluated start.
        values: by metric name; NaN where it was no finite number.
    """

    step: int
    values: Mapping[str, float]


History: TypeAlias = Sequence[StepRecord]


def step_record(step: int, values: Mapping[str, object]) -> StepRecord:
    """A record from a step's metrics, live or from disk, which come to the same: JSON has null for NaN and infinity.

    Args:
        step: global step.
        values: by metric name; what is neither a number nor null is left out.
    """
    numbers = {name: _number(value) for name, value in values.items() if value is None or is_number(value)}
    return StepRecord(step, numbers)


def read_history(directory: RunDirectory, after: int = -1) -> list[StepRecord]:
    """The steps on disk in order; of lines for the same step the last one counts.

    Args:
        directory: the run.
        after: the first step lies after this one: a fork is judged from where it began, not by its parent's steps.
    """
    return [step_record(step, values) for step, values in logged_steps(directory) if step > after]


def training_steps(history: History, count: int) -> History | None:
    """The last `count` steps that trained; None where there are not so many yet."""
    last = history[-count:]
    return last if len(last) == count and last[0].step > 0 else None


def first_steps(history: History, count: int) -> History | None:
    """The first `count` steps that trained; None where there are not so many yet."""
    start = 1 if history and history[0].step == 0 else 0
    first = history[start : start + count]
    return first if len(first) == count else None


def values_of(records: Iterable[StepRecord], name: str) -> list[float] | None:
    """A metric over records; None where one has no finite number of it."""
    found = [record.values.get(name, math.nan) for record in records]
    return None if any(math.isnan(value) for value in found) else found


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan
