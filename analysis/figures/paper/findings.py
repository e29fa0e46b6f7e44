"""What the paper says against what the runs at hand show: a claim is judged by an interval, never by a mean alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd

from analysis import comparison, statistics
from analysis.comparison import Measure, of_metric
from analysis.figures.paper import explanations
from analysis.figures.paper.parts import tidy
from analysis.figures.paper.selection import Arm
from analysis.runs.frames import ArmName, RunRecord, Runs
from analysis.sources.token_lines import marker_words
from analysis.statistics.differences import difference
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


def final_pass_at(k: int) -> Measure:
    """pass@k by problem at the arm's final evaluation, where runs that ended early enter with their own last one."""

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        rows = tidy.final_evaluation(runs, arm)
        if rows.empty or (rows["n"] < k).any():
            return pd.DataFrame()
        of_runs = runs.remembered(
            ("final pass@k", k), arm, lambda: statistics.pass_at_k_table(rows, int(rows["step"].iloc[0]), k)
        )
        return of_runs.rename(index={record.id: record.seed for record in runs.arms[arm]})

    return Measure(f"pass@{k}", 3, table, bound=1.0)


ENTROPY_PEAK = replace(comparison.ENTROPY_PEAK, label="peak entropy, nats/token")
ENTROPY_FINAL = replace(comparison.ENTROPY_FINAL, label="final entropy, nats/token")
LENGTH_FINAL = replace(comparison.LENGTH_FINAL, label="final response length, tokens")
ZERO_SHARE = of_metric(metrics.ZERO_FRACTION, "share of zero advantages", 2, lambda series: series.mean())
PASS_1, PASS_16 = final_pass_at(1), final_pass_at(16)


def values_of(measure: Measure, runs: Runs, arm: Arm) -> pd.DataFrame:
    """The measure's table of an arm; empty where there is no run of the arm."""
    return measure.table(runs, arm.name) if arm.name in runs.arms else pd.DataFrame()


def _peak_markers(runs: Runs, arm: ArmName) -> pd.DataFrame:
    counted = {record.seed: marker_words(record) for record in runs.arms[arm]}
    peaks = {seed: float(counts.max()) for seed, counts in counted.items() if len(counts)}
    return pd.DataFrame({"value": peaks}, dtype=float).dropna()


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
    values = values_of(measure, runs, arm)
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
    tables = comparison.on_common(values_of(measure, runs, first), values_of(measure, runs, second))
    if tables is None:
        return None
    found = difference(*tables, paired=True, bound=measure.bound)
    if found.seeds[0] == 1:  # one seed shows nothing of the spread between training runs
        return found.value, -np.inf, np.inf, 1
    return found.value, found.low, found.high, found.seeds[0]


def _numbers(value: float, low: float, high: float, seeds: int, measure: Measure) -> str:
    digits = measure.digits
    if seeds > 1 and low * high > 0:  # a small difference that is told apart from zero is not shown as zero
        nearer = min(abs(low), abs(high))
        digits = next((more for more in range(digits, _MOST_DIGITS) if round(nearer, more)), _MOST_DIGITS)
    ends = f" [{low:+.{digits}f}, {high:+.{digits}f}]" if np.isfinite([low, high]).all() else ""
    return f"{measure.label} {value:+.{digits}f}{ends}, {seeds_in_words(seeds)}"


def _differing(measure: Measure) -> Measure:
    return replace(measure, label=f"difference in {measure.label}")
