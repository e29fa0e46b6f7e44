"""What arms can be compared in: a number that each run ends with, or one a problem."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import statistics
from analysis.runs.frames import ArmName, Runs
from analysis.table import final_means, last_common_evaluation, whole_counts
from qae import metrics

_PASS_AT = re.compile(r"pass@(?P<k>[1-9]\d*)")


@dataclass(frozen=True)
class Measure:
    """A number that a run ends with, or one a problem.

    Attributes:
        label: its name, with its unit.
        digits: shown.
        table: of an arm's runs: index seed, one column per problem or a single one; empty where there is none.
        step: at which the arm's runs have been evaluated; None for what is made of all steps.
        logged: the metric that it is made of, where a run has no counts; "" where it is not made of one.
        bound: the largest difference that can be.
    """

    label: str
    digits: int
    table: Callable[[Runs, ArmName], pd.DataFrame]
    bound: float = np.inf
    step: Callable[[Runs, ArmName], int] | None = None
    logged: str = ""

    @property
    def name(self) -> str:
        """The label without its unit."""
        return self.label.partition(" (")[0]


def of_metric(metric: metrics.Metric, label: str, digits: int, reduce: Callable[[pd.DataFrame], object]) -> Measure:
    """A number made of a metric's steps: `reduce` maps steps × runs to one number per run; NaN leaves a run out."""

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        series = runs.series(arm, metric.name)
        if series.empty:
            return pd.DataFrame()
        values = pd.Series(reduce(series), dtype=float).rename(index=_seeds(runs, arm))
        return values.dropna().to_frame("value")

    return Measure(label, digits, table, 1.0 if metric.unit == "fraction" else np.inf, logged=metric.name)


def final_of(metric: metrics.Metric, label: str, digits: int) -> Measure:
    """A metric's mean over the last steps of a run (`analysis.table.final_means`); NaN leaves a run out."""

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        return final_means(runs, arm, metric).rename(index=_seeds(runs, arm)).dropna().to_frame("value")

    return Measure(label, digits, table, logged=metric.name)


def of_pass_at(k: int) -> Measure:
    """pass@k by problem, at the last whole evaluation that the arm's runs share.

    Runs of a source without counts have the number that they logged, at the last step at which all of them did.
    """

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        if runs.evaluations.empty:
            last = runs.series(arm, metrics.pass_at(k).name).dropna().tail(1)
            return last.T.set_axis(["value"], axis=1).rename(index=_seeds(runs, arm)) if len(last) else last
        counts = whole_counts(runs, arm)
        step = last_common_evaluation(counts)
        rows = counts[counts["step"] == step]
        if rows.empty or (rows["n"] < k).any():
            return pd.DataFrame()
        return statistics.pass_at_k_table(rows, step, k).rename(index=_seeds(runs, arm))

    def step(runs: Runs, arm: ArmName) -> int:
        if not runs.evaluations.empty:
            return last_common_evaluation(whole_counts(runs, arm))
        logged = runs.series(arm, metrics.pass_at(k).name).dropna()
        return int(logged.index[-1]) if len(logged) else -1

    return Measure(f"pass@{k}", 3, table, bound=1.0, step=step, logged=metrics.pass_at(k).name)


def _level(column: "pd.Series[float]") -> float:
    return statistics.shape(column).level if column.notna().any() else np.nan


PASS_1, PASS_16 = of_pass_at(1), of_pass_at(16)
ENTROPY_FINAL = final_of(metrics.ENTROPY, "final entropy (nats/token)", 2)
ENTROPY_PEAK = of_metric(metrics.ENTROPY, "peak entropy (nats/token)", 2, lambda series: series.max())
LENGTH_FINAL = final_of(metrics.LENGTH_MEAN, "final length (tokens)", 1)
ENTROPY_LEVEL = of_metric(metrics.ENTROPY, "mean entropy (nats/token)", 2, lambda series: series.apply(_level))
MEASURES = (PASS_1, PASS_16, ENTROPY_FINAL, ENTROPY_PEAK, LENGTH_FINAL)


def measures_of(runs: Runs, names: Iterable[str] = ()) -> dict[str, Measure]:
    """What these runs can be compared in, by name: `MEASURES`, the mean entropy, and each pass@k among `names`.

    Raises:
        ValueError: a pass@k with more samples than a problem of these runs has.
    """
    known = {measure.name: measure for measure in (*MEASURES, ENTROPY_LEVEL)}
    samples = int(runs.evaluations["n"].min()) if len(runs.evaluations) else None
    for name in names:
        found = _PASS_AT.fullmatch(name)
        if found is None:
            continue
        if samples is not None and int(found["k"]) > samples:
            raise ValueError(f"{name} needs {found['k']} samples a problem; these runs have {samples}")
        known[name] = of_pass_at(int(found["k"]))
    return known


def _seeds(runs: Runs, arm: ArmName) -> dict[str, int]:
    return {record.id: record.seed for record in runs.arms[arm]}
