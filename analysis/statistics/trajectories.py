"""What a number did over the steps of a run: peak, area, time to a threshold, explosion and collapse, smoothing."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.intervals import FloatArray


class Alignment(StrEnum):
    """Which steps of runs of unequal length are kept."""

    COMMON = "common"  # from the last first step to the first last step: every row rests on all runs
    LONGEST = "longest"  # all; a run is missing beyond its ends, so the mean may jump where one ends
    HOLD = "hold"  # all; a run that has ended keeps its last value, which is a guess


@dataclass(frozen=True)
class Smoothed:
    """A smooth line together with what it was made from: whoever draws one has the other at hand.

    Attributes:
        raw: as given.
        smooth: same index and columns; NaN where `raw` is.
        window: the most values that a smooth one is the mean of.
    """

    raw: pd.DataFrame
    smooth: pd.DataFrame
    window: int


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
    explosion: float = 1.3
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


def smoothed(series: pd.DataFrame, window: int) -> Smoothed:
    """Centred means of up to `window` values, each column by itself.

    The window shrinks evenly on both sides towards the ends, where the smooth line meets the raw one: it neither lags
    nor bends towards the middle. Missing values are skipped.

    Args:
        series: a row a step, a column a run.
        window: odd, at least 1.

    Raises:
        ValueError: an even window, or one below 1.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window={window} must be odd and at least 1")
    return Smoothed(series, series.apply(lambda column: _centred_means(column, window // 2)), window)


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


def time_to(values: "pd.Series[float]", threshold: float) -> int | None:
    """The first step at or beyond a threshold, seen from the first value; None where it is never reached.

    A run that starts below is followed up, one that starts above down. None of a run that was cut short means "not by
    its last step": leave such runs in the count, not in a mean of times.
    """
    steps, numbers = _known(values)
    if not len(steps):
        return None
    beyond = numbers >= threshold if numbers[0] <= threshold else numbers <= threshold
    return int(steps[beyond.argmax()]) if beyond.any() else None


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


def aligned(series: pd.DataFrame, alignment: Alignment = Alignment.COMMON) -> pd.DataFrame:
    """Runs of unequal length on one range of steps; gaps inside a run stay gaps.

    Args:
        series: index step, ascending; a column a run.
        alignment: which steps are kept.

    Returns:
        columns as given, but for runs without any value under COMMON, which would leave no step.
    """
    if alignment is Alignment.LONGEST:
        return series
    if alignment is Alignment.HOLD:
        ended = series.bfill().isna()
        return series.where(~ended, series.ffill())
    runs = series.dropna(axis="columns", how="all")
    if runs.empty:
        return runs
    there = runs.notna().to_numpy()
    first = int(there.argmax(axis=0).max())
    end = len(runs) - int(there[::-1].argmax(axis=0).max())
    return runs.iloc[first:end]


def _known(values: "pd.Series[float]") -> tuple[FloatArray, FloatArray]:
    """Steps and values that are there."""
    there = values.dropna()
    steps: FloatArray = there.index.to_numpy(dtype=np.float64)
    numbers: FloatArray = np.asarray(there, dtype=np.float64)
    return steps, numbers


def _centred_means(column: "pd.Series[float]", half: int) -> "pd.Series[float]":
    there = column.dropna()
    size = len(there)
    position = np.arange(size)
    reach = np.minimum(np.minimum(position, size - 1 - position), half)
    numbers = there.to_numpy(dtype=np.float64)
    finite = np.isfinite(numbers)
    # Sums are differences of running sums of deviations, so that a large level costs no digits.
    level = float(numbers[finite].mean()) if finite.any() else 0.0
    sums = _window_sums(np.where(finite, numbers - level, 0.0), position, reach)
    means = level + sums / (2 * reach + 1)
    # A window with an infinite value has no mean, and the line breaks there; running sums would lose all after it.
    means[_window_sums((~finite).astype(np.float64), position, reach) > 0] = np.nan
    means[~finite] = numbers[~finite]
    return pd.Series(means, index=there.index).reindex(column.index)


def _window_sums(values: FloatArray, position: npt.NDArray[np.int64], reach: npt.NDArray[np.int64]) -> FloatArray:
    running = np.concatenate([[0.0], np.cumsum(values)])
    sums: FloatArray = running[position + reach + 1] - running[position - reach]
    return sums
