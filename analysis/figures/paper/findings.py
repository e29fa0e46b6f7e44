"""What the paper says against what the runs at hand show: a claim is judged by an interval, never by a mean alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import statistics
from analysis.figures.paper import explanations, tidy
from analysis.figures.paper.selection import Arm
from analysis.runs.frames import RunRecord, Runs
from analysis.sources.token_lines import marker_words
from analysis.statistics.differences import difference
from analysis.table import final_means
from analysis.wording import interval, seeds_in_words
from qae import metrics

# Alike: the interval lies within this far from zero.
_ALIKE = 0.05
_MOST_DIGITS = 6


class Verdict(StrEnum):
    """What the runs say of a claim."""

    SHOWN = "appears"
    OPPOSITE = "the opposite appears"
    OPEN = "not shown"
    UNKNOWN = "runs are missing"


@dataclass(frozen=True)
class Finding:
    """A claim of the paper and what became of it.

    Attributes:
        claim: the paper's.
        verdict: by the interval.
        numbers: what the verdict rests on, with interval and number of seeds; "" where runs are missing.
        reason: why it does not appear, where that is known; or "".
    """

    claim: str
    verdict: Verdict
    numbers: str
    reason: str = ""

    def __str__(self) -> str:
        told = ": ".join(filter(None, (self.numbers, self.reason)))
        return f"{self.claim}: {self.verdict}" + (f" ({told})" if told else "")

    def explained(self, records: Sequence[RunRecord]) -> "Finding":
        """With the reason, if it does not appear in these runs and one is known."""
        if self.verdict not in (Verdict.OPPOSITE, Verdict.OPEN):
            return self
        return replace(self, reason=explanations.of(self.claim, records))


@dataclass(frozen=True)
class Measure:
    """A number, or one a problem, that a run ends with.

    Attributes:
        label: its name and unit.
        digits: shown.
        table: of an arm's runs: index seed, a column a problem or a single one; empty where there is none.
        bound: the largest difference that can be.
    """

    label: str
    digits: int
    table: Callable[[Runs, Arm], pd.DataFrame]
    bound: float = np.inf


def final_pass_at(k: int) -> Measure:
    """pass@k at the arm's final evaluation, by problem."""

    def table(runs: Runs, arm: Arm) -> pd.DataFrame:
        rows = tidy.final_evaluation(runs, arm.name) if arm.name in runs.arms else pd.DataFrame()
        if rows.empty or (rows["n"] < k).any():
            return pd.DataFrame()
        of_runs = runs.remembered(
            ("final pass@k", k), arm.name, lambda: statistics.pass_at_k_table(rows, int(rows["step"].iloc[0]), k)
        )
        return of_runs.rename(index=_seeds(runs, arm))

    return Measure(f"pass@{k}", 3, table, bound=1.0)


def of_metric(
    metric: metrics.Metric, label: str, digits: int, reduce: Callable[["pd.Series[float]"], float]
) -> Measure:
    """A number made from a metric's values over steps."""

    def table(runs: Runs, arm: Arm) -> pd.DataFrame:
        series = runs.series(arm.name, metric.name) if arm.name in runs.arms else pd.DataFrame()
        return _column({seed: reduce(series[run].dropna()) for run, seed in _seeds(runs, arm).items() if run in series})

    return Measure(label, digits, table)


def final_of(metric: metrics.Metric, label: str, digits: int) -> Measure:
    """A metric's mean over the last five steps that logged it."""

    def table(runs: Runs, arm: Arm) -> pd.DataFrame:
        values = final_means(runs, arm.name, metric) if arm.name in runs.arms else pd.Series(dtype=float)
        return _column({seed: float(values[run]) for run, seed in _seeds(runs, arm).items() if run in values})

    return Measure(label, digits, table)


ENTROPY_PEAK = of_metric(metrics.ENTROPY, "peak entropy, nats/token", 2, lambda values: float(values.max()))
ENTROPY_FINAL = final_of(metrics.ENTROPY, "final entropy, nats/token", 2)
LENGTH_FINAL = final_of(metrics.LENGTH_MEAN, "final response length, tokens", 1)
ZERO_SHARE = of_metric(metrics.ZERO_FRACTION, "share of zero advantages", 2, lambda values: float(values.mean()))
PASS_1, PASS_16 = final_pass_at(1), final_pass_at(16)


def _peak_markers(runs: Runs, arm: Arm) -> pd.DataFrame:
    records = runs.arms.get(arm.name, [])
    counted = {record.seed: marker_words(record) for record in records}
    return _column({seed: float(counts.max()) for seed, counts in counted.items() if len(counts)})


MARKERS_PEAK = Measure("peak marker words per 100 responses", 0, _peak_markers)


def higher(claim: str, runs: Runs, first: Arm, second: Arm, measure: Measure) -> Finding:
    """Judge that the first arm has more: by the difference on the same seeds and problems."""
    pair = _paired(runs, first, second, measure)
    if pair is None:
        return Finding(claim, Verdict.UNKNOWN, "")
    value, low, high, seeds = pair
    return _judged(claim, value, low, high, seeds, _differing(measure))


def alike(claim: str, runs: Runs, first: Arm, second: Arm, measure: Measure) -> Finding:
    """Judge that two arms have about the same share.

    It is a test of equivalence: the interval of their difference within five points of zero, whether or not it holds
    zero.
    """
    pair = _paired(runs, first, second, measure)
    if pair is None:
        return Finding(claim, Verdict.UNKNOWN, "")
    value, low, high, seeds = pair
    verdict = Verdict.SHOWN if max(-low, high) <= _ALIKE else Verdict.OPEN
    if low > _ALIKE or high < -_ALIKE:
        verdict = Verdict.OPPOSITE
    return Finding(claim, verdict, _numbers(value, low, high, seeds, _differing(measure)))


def near(claim: str, runs: Runs, arm: Arm, measure: Measure, expected: float, tolerance: float) -> Finding:
    """Judge that an arm has about this value: the interval of its mean over seeds within the tolerance."""
    values = measure.table(runs, arm)
    if values.empty:
        return Finding(claim, Verdict.UNKNOWN, "")
    mean = statistics.mean_over_seeds(values.mean(axis=1))
    inside = abs(mean.low - expected) <= tolerance and abs(mean.high - expected) <= tolerance
    apart = mean.low > expected + tolerance or mean.high < expected - tolerance
    verdict = Verdict.SHOWN if inside else Verdict.OPPOSITE if apart else Verdict.OPEN
    text = f"{mean.value:.{measure.digits}f} {interval(mean.low, mean.high, measure.digits)}".rstrip()
    return Finding(claim, verdict, f"{measure.label} {text}, {seeds_in_words(mean.seeds)}")


def positive(claim: str, values: Sequence[float], label: str, digits: int) -> Finding:
    """Judge that a difference within each run is above zero: by its t-interval over seeds."""
    numbers = [value for value in values if not np.isnan(value)]
    if not numbers:
        return Finding(claim, Verdict.UNKNOWN, "")
    mean = statistics.mean_over_seeds(numbers)
    measure = Measure(label, digits, lambda _runs, _arm: pd.DataFrame())
    ends = (mean.low, mean.high) if mean.seeds > 1 else (-np.inf, np.inf)
    return _judged(claim, mean.value, *ends, mean.seeds, measure)


def _judged(claim: str, value: float, low: float, high: float, seeds: int, measure: Measure) -> Finding:
    verdict = Verdict.SHOWN if low > 0 else Verdict.OPPOSITE if high < 0 else Verdict.OPEN
    return Finding(claim, verdict, _numbers(value, low, high, seeds, measure))


def _paired(runs: Runs, first: Arm, second: Arm, measure: Measure) -> tuple[float, float, float, int] | None:
    """Difference with its interval and the number of common seeds; None where there is none."""
    of_first, of_second = measure.table(runs, first), measure.table(runs, second)
    seeds = of_first.index.intersection(of_second.index)
    problems = of_first.columns.intersection(of_second.columns)
    if not len(seeds) or not len(problems):
        return None
    tables: list[npt.NDArray[np.float64]] = [
        of.loc[seeds, problems].to_numpy(dtype=np.float64) for of in (of_first, of_second)
    ]
    found = difference(*tables, paired=True, bound=measure.bound)
    if len(seeds) == 1:  # one seed shows nothing of the spread between training runs
        return found.value, -np.inf, np.inf, 1
    return found.value, found.low, found.high, len(seeds)


def _numbers(value: float, low: float, high: float, seeds: int, measure: Measure) -> str:
    digits = measure.digits
    if seeds > 1 and low * high > 0:  # a small difference that is told apart from zero is not shown as zero
        nearer = min(abs(low), abs(high))
        digits = next((more for more in range(digits, _MOST_DIGITS) if round(nearer, more)), _MOST_DIGITS)
    ends = f" [{low:+.{digits}f}, {high:+.{digits}f}]" if np.isfinite([low, high]).all() else ""
    return f"{measure.label} {value:+.{digits}f}{ends}, {seeds_in_words(seeds)}"


def _differing(measure: Measure) -> Measure:
    return replace(measure, label=f"difference in {measure.label}")


def _seeds(runs: Runs, arm: Arm) -> dict[str, int]:
    return {record.id: record.seed for record in runs.arms.get(arm.name, [])}


def _column(values: dict[int, float]) -> pd.DataFrame:
    return pd.DataFrame({"value": values}, dtype=float).dropna()
