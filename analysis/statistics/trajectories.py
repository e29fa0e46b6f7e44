"""What a number did over the steps of a run: peak, area, explosion and collapse."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.statistics.intervals import FloatArray
from qae.metrics import EXPLODED

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Shape:
    """A run's trajectory in numbers.

    Attributes:
        peak: the greatest value.
        peak_step: the first step that has it.
        area: integral over steps by the trapezoid rule, in units of the value times steps; 0 with one step.
        level: area by the number of steps that it spans, comparable between runs of unequal length; with one step its
            value.
    """

    peak: float
    peak_step: int
    area: float
    level: float


@dataclass(frozen=True)
class Rule:
    """When a trajectory counts as exploded or collapsed.

    The start is the mean of the first `start_steps` values. An explosion is called at the first step at which the
    median of the last `window` values lies above `explosion` × start, a collapse where it lies below `collapse` ×
    start. With the median, single spikes call nothing: more than half of the window must lie beyond.
    The paper has no numbers for either word; these are ours.

    Attributes:
        start_steps: values that the start is the mean of.
        window: values that the median is taken over; it uses no later step, so that a run can be stopped by it.
        explosion, collapse: factors of the start.

    Raises:
        ValueError: no step to take a mean or median of, or factors on the wrong side of 1.
    """

    start_steps: int = 3
    window: int = 5
    explosion: float = EXPLODED
    collapse: float = 0.2

    def __post_init__(self) -> None:
        if min(self.start_steps, self.window) < 1:
            raise ValueError(f"start_steps={self.start_steps} and window={self.window} must be at least 1")
        if not 0 < self.collapse < 1 < self.explosion:
            raise ValueError(f"collapse={self.collapse} must lie in (0, 1), explosion={self.explosion} above 1")


@dataclass(frozen=True)
class Detection:
    """What a rule found.

    Attributes:
        start: the value that the thresholds are relative to; NaN in a run too short to judge, where both steps are
            None.
        exploded_at, collapsed_at: the step at which it is called; None where it is not. Both can happen.
    """

    start: float
    exploded_at: int | None
    collapsed_at: int | None


def shape(values: "pd.Series[float]") -> Shape:
    """Peak and area of a trajectory, index step; missing values are skipped.

    Raises:
        ValueError: there is no value.
    """
    steps, numbers = _known(values)
    if not len(steps):
        raise ValueError("there is no step to take a peak of")
    highest = int(numbers.argmax())
    with np.errstate(invalid="ignore"):
        area = float(np.trapezoid(numbers, steps))
    level = area / float(steps[-1] - steps[0]) if len(steps) > 1 else float(numbers[0])
    return Shape(float(numbers[highest]), int(steps[highest]), area, level)


def detect(values: "pd.Series[float]", rule: Rule | None = None) -> Detection:
    """Where a trajectory explodes or collapses; `Rule` states when. Index step; missing values are skipped."""
    rule = rule or Rule()
    steps, numbers = _known(values)
    if len(steps) < max(rule.start_steps, rule.window):
        return Detection(np.nan, None, None)
    start = float(numbers[: rule.start_steps].mean())
    medians = np.median(np.lib.stride_tricks.sliding_window_view(numbers, rule.window), axis=1)
    ends = steps[rule.window - 1 :]
    exploded, collapsed = medians > rule.explosion * start, medians < rule.collapse * start
    return Detection(
        start,
        int(ends[exploded.argmax()]) if exploded.any() else None,
        int(ends[collapsed.argmax()]) if collapsed.any() else None,
    )


def _known(values: "pd.Series[float]") -> tuple[FloatArray, FloatArray]:
    """Steps and values that are there."""
    there = values.dropna()
    steps: FloatArray = there.index.to_numpy(dtype=np.float64)
    numbers: FloatArray = np.asarray(there, dtype=np.float64)
    return steps, numbers
