"""Differences between arms: on common seeds and problems only, wide enough for all of a table."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis import comparison
from analysis.comparison import ENTROPY_PEAK, LENGTH_FINAL, PASS_1, PASS_16
from analysis.runs import ArmName, Runs
from analysis.sources import run_store
from analysis.statistics import bootstrap_interval
from qae.pass_at_k import pass_at_k
from tests.analysis.stores import PROBLEMS, SAMPLES, correct, entropy, write_run, write_sweep

MEAN, K4 = ArmName("mean", None, ""), ArmName("K = 0.4", 0.4, "")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Two seeds of three arms, and a third seed of the mean alone."""
    write_sweep(tmp_path)
    write_run(tmp_path, "mean-2", {"seed": 2})
    return run_store.load(tmp_path)


def test_pairs_are_found_by_name(runs: Runs) -> None:
    assert [(str(a), str(b)) for a, b in comparison.against_the_mean(runs)] == [("K = 0.4", "mean")]
    assert [(str(a), str(b)) for a, b in comparison.against_the_plain_variant(runs)] == [
        ("mean, clip_symmetric", "mean")
    ]


def test_a_number_that_a_run_has_once_gets_the_paired_t_interval(runs: Runs) -> None:
    of_first = np.array([max(entropy(step, seed, 0.4) for step in range(1, 7)) for seed in (0, 1)])
    of_second = np.array([max(entropy(step, seed, -1) for step in range(1, 7)) for seed in (0, 1)])
    noise = np.array([0.0, 0.03])
    frame = runs.metrics.copy()
    frame.loc[(frame["run"] == "k4-1") & (frame["name"] == "actor/entropy"), "value"] += noise[1]
    (found,) = comparison.compare(Runs(runs.records, frame, runs.evaluations), [(K4, MEAN)], [ENTROPY_PEAK])
    pairs = of_first + noise - of_second
    expected = stats.ttest_1samp(pairs, 0).confidence_interval(0.95)
    assert found.value == pytest.approx(pairs.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.seeds, found.problems) == (2, 1)
    assert found.confidence == pytest.approx(0.95)


def test_pass_at_k_is_compared_problem_by_problem_on_the_common_seeds(runs: Runs) -> None:
    frame = runs.evaluations.copy()
    better = (frame["run"].str.startswith("k4")) & (frame["step"] == 6)
    frame.loc[better, "c"] = SAMPLES
    (found,) = comparison.compare(Runs(runs.records, runs.metrics, frame), [(K4, MEAN)], [PASS_1])
    counts = np.array([[correct(6, seed, problem) for problem in range(PROBLEMS)] for seed in (0, 1)])
    expected = bootstrap_interval(1 - pass_at_k(np.full(counts.shape, SAMPLES), counts, 1))
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert (found.seeds, found.problems) == (2, PROBLEMS)
    assert found.is_separated


def test_intervals_widen_with_the_number_of_comparisons(runs: Runs) -> None:
    alone = comparison.compare(runs, [(K4, MEAN)], [LENGTH_FINAL])[0]
    among = comparison.compare(runs, [(K4, MEAN)], [PASS_1, PASS_16, ENTROPY_PEAK, LENGTH_FINAL])
    assert [difference.confidence for difference in among] == pytest.approx([1 - 0.05 / 4] * 4)
    assert alone.confidence == pytest.approx(0.95)
    assert "all 4 hold together" in comparison.caption(among)


def test_one_seed_separates_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", {"algorithm.quantile_k": 0.4})
    found = comparison.compare(run_store.load(tmp_path), [(K4, MEAN)])
    assert len(found) == len(comparison.MEASURES)
    assert not any(difference.is_separated for difference in found)
    assert "[-inf, +inf]" in comparison.frame(found).to_string()


def test_arms_without_a_common_seed_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"seed": 1})
    write_run(tmp_path, "b", {"seed": 2, "algorithm.quantile_k": 0.4})
    found = comparison.compare(run_store.load(tmp_path), [(K4, MEAN)])
    assert found == []
    assert comparison.frame(found).empty
    assert comparison.caption(found) == "No two arms to compare have a seed in common."
