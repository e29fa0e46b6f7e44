"""Arms against arms on the same seeds and problems: differences with intervals that allow for how many there are.

With m differences in a table each interval has confidence 1 - .05/m (Bonferroni), so that all of them hold together
with 95 %. An arm differs from another where the interval leaves out zero, not where two intervals of their own touch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from analysis import statistics
from analysis.runs import ArmName, Runs
from analysis.table import FINAL_STEPS
from qae import metrics
from qae.pass_at_k import pass_at_k

Pair = tuple[ArmName, ArmName]


@dataclass(frozen=True)
class Measure:
    """A number that a run ends with, or one a problem.

    Attributes:
        label: its name, with its unit.
        digits: shown.
        table: of an arm's runs: index seed, a column a problem or a single one; empty where there is none.
    """

    label: str
    digits: int
    table: Callable[[Runs, ArmName], pd.DataFrame]


@dataclass(frozen=True)
class Difference:
    """First arm minus second.

    Attributes:
        first, second: the arms.
        measure: what is compared.
        value: mean difference over common seeds (and problems).
        low, high: ends of the interval; for numbers that a run has once they are infinite with a single seed.
        confidence: of this interval, so that all of the table hold with 95 %.
        seeds: common training seeds.
        problems: common problems; 1 for numbers that a run has once.
    """

    first: ArmName
    second: ArmName
    measure: Measure
    value: float
    low: float
    high: float
    confidence: float
    seeds: int
    problems: int

    @property
    def is_separated(self) -> bool:
        """Whether the interval leaves out zero; a single seed separates nothing."""
        return self.seeds > 1 and not self.low <= 0 <= self.high

    def __str__(self) -> str:
        digits = self.measure.digits
        return f"{self.value:+.{digits}f} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


def of_metric(metric: metrics.Metric, label: str, digits: int, reduce: Callable[[pd.DataFrame], object]) -> Measure:
    """A number made of a metric's steps: `reduce` maps steps × runs to a number a run."""

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        series = runs.series(arm, metric.name)
        values = pd.Series(reduce(series), dtype=float).rename(index=_seeds(runs, arm))
        return values.dropna().to_frame("value")

    return Measure(label, digits, table)


def of_pass_at(k: int) -> Measure:
    """pass@k by problem, at the last whole evaluation that the arm's runs share."""

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        counts = statistics.whole_evaluations(runs.counts(arm))
        evaluated = counts.groupby("step")["run"].nunique()
        shared = evaluated.index[evaluated == counts["run"].nunique()]
        rows = counts[counts["step"] == shared.max()] if len(shared) else counts.iloc[:0]
        if rows.empty or (rows["n"] < k).any():
            return pd.DataFrame()
        rows = rows.assign(value=pass_at_k(rows["n"].to_numpy(dtype=int), rows["c"].to_numpy(dtype=int), k))
        wide = rows.pivot_table(index="run", columns=["data_set", "problem"], values="value").dropna(axis=1)
        return wide.rename(index=_seeds(runs, arm))

    return Measure(f"pass@{k}", 3, table)


PASS_1, PASS_16 = of_pass_at(1), of_pass_at(16)
ENTROPY_FINAL = of_metric(metrics.ENTROPY, "final entropy (nats/token)", 2, lambda series: series.apply(_final))
ENTROPY_PEAK = of_metric(metrics.ENTROPY, "peak entropy (nats/token)", 2, lambda series: series.max())
LENGTH_FINAL = of_metric(metrics.LENGTH_MEAN, "final length (tokens)", 1, lambda series: series.apply(_final))
MEASURES = (PASS_1, PASS_16, ENTROPY_FINAL, ENTROPY_PEAK, LENGTH_FINAL)


def against_the_mean(runs: Runs) -> list[Pair]:
    """Each other baseline against the mean of the same variant."""
    means = {arm.variant: arm for arm in runs.arms if arm.baseline == "mean"}
    return [(arm, means[arm.variant]) for arm in runs.arms if arm.variant in means and arm != means[arm.variant]]


def against_the_plain_variant(runs: Runs) -> list[Pair]:
    """Each variant (the regularizer, most often) against the plain one, or the first, of the same baseline."""
    first: dict[str, ArmName] = {}
    for arm in sorted(runs.arms, key=lambda arm: arm.variant != ""):
        first.setdefault(arm.baseline, arm)
    return [(arm, first[arm.baseline]) for arm in runs.arms if arm != first[arm.baseline]]


def compare(runs: Runs, pairs: Iterable[Pair], measures: Sequence[Measure] = MEASURES) -> list[Difference]:
    """Differences of all pairs in all measures; those without a common seed and problem are left out."""
    tables = [
        (first, second, measure, *common)
        for first, second in pairs
        for measure in measures
        if (common := _common(measure.table(runs, first), measure.table(runs, second))) is not None
    ]
    confidence = 1 - (1 - statistics.CONFIDENCE) / max(1, len(tables))
    return [
        _difference(first, second, measure, of_first - of_second, confidence)
        for first, second, measure, of_first, of_second in tables
    ]


def frame(differences: Sequence[Difference]) -> pd.DataFrame:
    """For people: a row a pair, a column a measure; a star where the interval leaves out zero."""
    rows: dict[str, dict[str, object]] = {}
    for difference in differences:
        row = rows.setdefault(f"{difference.first} - {difference.second}", {"seeds": difference.seeds})
        row[difference.measure.label] = f"{difference}{' *' if difference.is_separated else ''}"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference").fillna("—")


def caption(differences: Sequence[Difference]) -> str:
    """What the intervals of `frame` are."""
    if not differences:
        return "No two arms to compare have a seed in common."
    return (
        f"Mean differences on the same seeds and, for pass@k, the same problems. [ ]: {differences[0].confidence:.2%} "
        f"intervals, so that all {len(differences)} hold together with 95 %: bootstrap over seeds and problems for "
        "pass@k, Student's t over pairs of seeds for the others. *: the interval leaves out zero."
    )


def _difference(
    first: ArmName, second: ArmName, measure: Measure, values_S_P: npt.NDArray[np.float64], confidence: float
) -> Difference:
    seeds, problems = values_S_P.shape
    value = float(values_S_P.mean())
    if problems > 1:
        estimate = statistics.bootstrap_interval(values_S_P, confidence=confidence)
        low, high = estimate.low, estimate.high
    elif seeds > 1:
        error = float(values_S_P.std(ddof=1)) / np.sqrt(seeds)
        half = float(stdtrit(seeds - 1, (1 + confidence) / 2)) * error
        low, high = value - half, value + half
    else:
        low, high = -np.inf, np.inf
    return Difference(first, second, measure, value, low, high, confidence, seeds, problems)


def _common(
    first: pd.DataFrame, second: pd.DataFrame
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Both tables on their common seeds and problems; None where there is none."""
    seeds, problems = first.index.intersection(second.index), first.columns.intersection(second.columns)
    if not len(seeds) or not len(problems):
        return None
    of_first, of_second = (table.loc[seeds, problems].to_numpy(dtype=np.float64) for table in (first, second))
    return of_first, of_second


def _seeds(runs: Runs, arm: ArmName) -> dict[str, int]:
    return {record.id: record.seed for record in runs.arms[arm]}


def _final(column: "pd.Series[float]") -> float:
    return float(column.dropna().tail(FINAL_STEPS).mean())
