"""Aggregates and profiles: rliable's recorded numbers, its formulas, and each kind of resample written out."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import Aggregate, Resampling, aggregate, aggregate_intervals
from analysis.statistics.intervals import FloatArray

RLIABLE = json.loads(Path(__file__).with_name("rliable_reference.json").read_text())
SCORES: FloatArray = np.array(RLIABLE["first"])
RESAMPLES, GAMMA = int(RLIABLE["resamples"]), float(RLIABLE["gamma"])
# The ends of two intervals of 20,000 resamples each differ by about 1 % of their width.
NOISE = 0.05
KINDS = [Resampling(whole_runs, tasks) for whole_runs in (False, True) for tasks in (False, True)]


@dataclass(frozen=True)
class Direct:
    """Resamples written out, float (resamples, runs, tasks), and what is made of each."""

    scores: FloatArray

    @classmethod
    def of(cls, scores: FloatArray, resampling: Resampling, resamples: int) -> "Direct":
        runs, tasks = scores.shape
        generator = np.random.default_rng(1)
        of_tasks = generator.integers(0, tasks, (resamples, 1, tasks)) if resampling.tasks else np.arange(tasks)
        of_runs = generator.integers(0, runs, (resamples, runs, 1 if resampling.whole_runs else tasks))
        return cls(scores[of_runs, of_tasks])

    def aggregates(self) -> dict[Aggregate, FloatArray]:
        flat = self.scores.reshape(len(self.scores), -1)
        return {
            Aggregate.IQM: stats.trim_mean(flat, 0.25, axis=1),
            Aggregate.MEAN: flat.mean(axis=1),
            Aggregate.MEDIAN: np.median(self.scores.mean(axis=1), axis=1),
            Aggregate.OPTIMALITY_GAP: GAMMA - np.minimum(flat, GAMMA).mean(axis=1),
        }


def test_aggregates_are_rliables() -> None:
    found = {which.value: aggregate(SCORES, which, gamma=GAMMA) for which in Aggregate}
    assert found == pytest.approx(RLIABLE["aggregates"], rel=1e-12)


@settings(max_examples=60)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_the_iqm_is_the_trimmed_mean_of_any_table_with_ties(runs: int, tasks: int, draw: int) -> None:
    scores = np.random.default_rng(draw).integers(0, 5, (runs, tasks)) / 4
    assert aggregate(scores, Aggregate.IQM) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None), abs=1e-12)


@pytest.mark.parametrize(("recorded", "tasks"), [("runs", False), ("runs and tasks", True)])
def test_intervals_are_rliables(recorded: str, tasks: bool) -> None:
    found = aggregate_intervals(SCORES, resampling=Resampling(tasks=tasks), resamples=RESAMPLES, gamma=GAMMA)
    for which, estimate in found.items():
        expected = RLIABLE["intervals"][recorded][which.value]
        assert [estimate.low, estimate.high] == pytest.approx(expected, abs=NOISE * np.ptp(expected)), which
        assert (estimate.seeds, estimate.problems) == SCORES.shape


@pytest.mark.parametrize("resampling", KINDS, ids=str)
def test_intervals_are_those_of_resamples_written_out(resampling: Resampling) -> None:
    generator = np.random.default_rng(3)
    scores = generator.normal(generator.normal(size=(1, 9)), 0.5, (6, 9))
    found = aggregate_intervals(scores, resampling=resampling, resamples=RESAMPLES, gamma=GAMMA, confidence=0.8)
    for which, draws in Direct.of(scores, resampling, RESAMPLES).aggregates().items():
        expected = np.quantile(draws, [0.1, 0.9])
        assert [found[which].low, found[which].high] == pytest.approx(expected, abs=NOISE * np.ptp(expected)), which
        assert found[which].confidence == 0.8


def test_more_runs_than_a_byte_counts_are_resampled_alike() -> None:
    scores = np.random.default_rng(4).normal(size=(300, 2))
    found = aggregate_intervals(scores, resamples=4_000, gamma=GAMMA)
    for which, draws in Direct.of(scores, Resampling(), 4_000).aggregates().items():
        expected = np.quantile(draws, [0.025, 0.975])
        assert [found[which].low, found[which].high] == pytest.approx(expected, abs=0.1 * np.ptp(expected)), which


@pytest.mark.parametrize("resampling", KINDS, ids=str)
def test_nothing_varies_where_all_scores_are_equal(resampling: Resampling) -> None:
    for which, estimate in aggregate_intervals(np.full((4, 5), 0.25), resampling=resampling, resamples=50).items():
        expected = 0.75 if which is Aggregate.OPTIMALITY_GAP else 0.25
        assert (estimate.low, estimate.value, estimate.high) == pytest.approx((expected,) * 3), which


def test_a_seed_makes_intervals_reproducible_and_another_moves_them() -> None:
    once, again, other = (aggregate_intervals(SCORES, resamples=200, seed=seed) for seed in (1, 1, 2))
    assert once == again
    assert once[Aggregate.MEAN] != other[Aggregate.MEAN]


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(ValueError, match="resamples=0"):
        aggregate_intervals(SCORES, resamples=0)
    with pytest.raises(ValueError, match="values must be finite"):
        aggregate_intervals([[0.1, np.nan]])
