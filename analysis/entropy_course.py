"""How entropy went over an arm's steps; `analysis.advice` has what pushes it."""

import math
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from analysis import statistics
from analysis.runs.frames import ArmName, Runs
from analysis.statistics import Mean, Rule
from analysis.table import final_means
from analysis.wording import interval
from qae import metrics

RULE = Rule()
# Relative to the start: an early change within it counts as none.
STILL = 0.05


class Trend(StrEnum):
    """Where entropy goes early in training."""

    FALLS = "falls"
    RISES = "rises"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Course:
    """An arm's entropy over its steps; means over seeds with Student's 95 % intervals, nats/token unless relative.

    Attributes:
        start: mean of the first `RULE.start_steps` steps.
        early: mean of the first third of the steps after those, relative to the start, minus 1.
        peak: highest step.
        final: mean of the last five steps.
        peak_step: step of the highest mean over seeds.
        trend: FALLS or RISES where `early` is beyond 5 % of the start and its interval on that side of zero.
        exploded, collapsed: how many seeds do by `RULE`.
    """

    start: Mean
    early: Mean
    peak: Mean
    final: Mean
    peak_step: int
    trend: Trend
    exploded: int
    collapsed: int


def course(runs: Runs, arm: ArmName) -> Course | None:
    """The course of an arm's entropy; None where no run of it has logged enough steps (six)."""
    series = runs.series(arm, metrics.ENTROPY.name)
    series = series.loc[:, series.count() >= 2 * RULE.start_steps]
    if series.empty:
        return None
    start = series.apply(lambda column: column.dropna().head(RULE.start_steps).mean())
    final = final_means(runs, arm, metrics.ENTROPY, list(series.columns))
    early = _mean(series.apply(_early) / start - 1)
    detections = [statistics.detect(series[run], RULE) for run in series.columns]
    return Course(
        start=_mean(start),
        early=early,
        peak=_mean(series.max()),
        final=_mean(final),
        peak_step=int(series.index[int(series.mean(axis=1).argmax())]),
        trend=_trend(early),
        exploded=sum(detection.exploded_at is not None for detection in detections),
        collapsed=sum(detection.collapsed_at is not None for detection in detections),
    )


def frame(runs: Runs) -> pd.DataFrame:
    """The courses of all arms: one row per arm, for people."""
    rows = {}
    for arm in runs.arms:
        found = course(runs, arm)
        if found is not None:
            rows[arm.shown] = {
                "seeds": found.start.seeds,
                "start": _interval(found.start),
                "early change": _change(found.early),
                "trend": str(found.trend),
                "peak": _interval(found.peak),
                "at step": found.peak_step,
                "final": _interval(found.final),
                "exploded": found.exploded,
                "collapsed": found.collapsed,
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def _change(mean: Mean) -> str:
    if math.isnan(mean.low):
        return f"{mean.value:+.0%}"
    return f"{mean.value:+.0%} [{mean.low:+.0%}, {mean.high:+.0%}]"


def _trend(early: Mean) -> Trend:
    if early.value < -STILL and early.high < 0:
        return Trend.FALLS
    return Trend.RISES if early.value > STILL and early.low > 0 else Trend.UNCLEAR


def _early(column: "pd.Series[float]") -> float:
    later = column.dropna().iloc[RULE.start_steps :]
    return float(later.head(max(1, len(later) // 3)).mean())


def _mean(values: "pd.Series[float]") -> Mean:
    """The mean over the seeds that have a number; NaN where none has one, as after an infinite change."""
    if values.isna().all():
        return Mean(float("nan"), float("nan"), float("nan"), 0)
    return statistics.mean_over_seeds(values)


def _interval(mean: Mean) -> str:
    ends = "" if mean.seeds < 2 else interval(mean.low, mean.high, 2)
    return " ".join(filter(None, (f"{mean.value:.2f}", ends)))
