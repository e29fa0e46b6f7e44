"""Estimates against slow, direct readings of their definitions."""

from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import statistics
from analysis.sources import run_store
from tests.analysis.stores import PROBLEMS, SAMPLES, correct, write_run


def counts(table: dict[tuple[str, int], list[int]], n: int = 8) -> pd.DataFrame:
    """Counts with the right answers of each (run, step)."""
    rows = [
        {"run": run, "step": step, "data_set": "d", "problem": f"p{problem}", "n": n, "c": c, "mean_length": 1.0}
        for (run, step), right in table.items()
        for problem, c in enumerate(right)
    ]
    return pd.DataFrame(rows)


def test_pass_at_k_is_the_share_of_draws_with_a_right_answer() -> None:
    frame = counts({("a", 0): [0, 1, 3, 8]})
    for k in (1, 2, 5):
        direct = []
        for c in (0, 1, 3, 8):
            draws = list(combinations([True] * c + [False] * (8 - c), k))
            direct.append(sum(any(draw) for draw in draws) / len(draws))
        np.testing.assert_allclose(statistics.pass_at_k_matrix(frame, 0, k), [direct], rtol=1e-12)


def test_the_estimate_equals_a_direct_bootstrap_over_seeds_and_problems() -> None:
    """Resample problems jointly for all seeds, and seeds, one draw at a time."""
    generator = np.random.default_rng(1)
    table = {(f"seed{seed}", 0): generator.integers(0, 9, 20).tolist() for seed in range(4)}
    values = np.array(list(table.values())) / 8
    draws = []
    for _ in range(8000):
        problems = generator.integers(0, 20, 20)
        seeds = generator.integers(0, 4, 4)
        draws.append(np.mean([values[seed][problem] for seed in seeds for problem in problems]))
    estimate = statistics.pass_at_k_estimate(counts(table), 0, 1)
    assert estimate is not None
    assert (estimate.seeds, estimate.problems) == (4, 20)
    assert estimate.value == pytest.approx(values.mean(), abs=1e-12)
    width = np.ptp(np.quantile(draws, [0.025, 0.975]))
    assert estimate.low == pytest.approx(np.quantile(draws, 0.025), abs=0.06 * width)
    assert estimate.high == pytest.approx(np.quantile(draws, 0.975), abs=0.06 * width)


def test_a_half_written_evaluation_does_not_count() -> None:
    frame = counts({("a", 0): [1, 2, 3], ("a", 5): [4, 5, 6], ("b", 0): [0, 1, 2], ("b", 5): [8]})
    curve = statistics.pass_at_k_curve(frame, 1)
    assert curve["seeds"].to_dict() == {0: 2, 5: 1}
    assert curve["value"].to_dict() == pytest.approx({0: 9 / 48, 5: 15 / 24})


def test_seeds_that_stopped_early_leave_the_curve_of_the_others() -> None:
    frame = counts({("a", 0): [1, 2], ("a", 5): [3, 4], ("b", 0): [5, 6]})
    assert statistics.pass_at_k_curve(frame, 1)["seeds"].to_dict() == {0: 2, 5: 1}


def test_pass_at_k_is_absent_where_samples_are_too_few() -> None:
    frame = counts({("a", 0): [1, 2]}, n=8)
    assert statistics.pass_at_k_curve(frame, 16).empty
    assert statistics.pass_at_k_estimate(frame, 0, 16) is None
    assert statistics.pass_at_k_estimate(frame, 3, 1) is None
    assert statistics.pass_at_k_curve(frame.iloc[:0], 1).empty


def test_counts_from_files_give_the_same_pass_at_k(tmp_path: Path) -> None:
    runs = run_store.load(tmp_path, [write_run(tmp_path, "a", {"seed": 3}).run_id])
    curve = statistics.pass_at_k_curve(runs.counts(next(iter(runs.arms))), 16)
    for step in (0, 3, 6):
        failing = [comb(SAMPLES - correct(step, 3, problem), 16) / comb(SAMPLES, 16) for problem in range(PROBLEMS)]
        assert curve.loc[step, "value"] == pytest.approx(1 - np.mean(failing), abs=1e-12)


def test_intervals_of_means_are_students() -> None:
    values = [0.1, 0.4, 0.3, 0.9]
    mean = statistics.mean_over_seeds([*values, np.nan])
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean.value, mean.low, mean.high, mean.seeds) == pytest.approx((np.mean(values), *expected, 4))


def test_one_seed_has_no_interval() -> None:
    mean = statistics.mean_over_seeds([0.5])
    assert (mean.low, mean.value, mean.high, mean.seeds) == (0.5, 0.5, 0.5, 1)
    with pytest.raises(ValueError, match="no finite value"):
        statistics.mean_over_seeds([np.nan])


def test_rows_may_rest_on_different_seeds() -> None:
    series = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": [3.0, np.nan, np.nan]}, index=[1, 2, 3])
    means = statistics.means_over_seeds(series)
    assert means["seeds"].tolist() == [2, 1, 0]
    assert means.loc[1, "value"] == 2.0
    assert [means.loc[2, column] for column in ("value", "low", "high")] == [2.0, 2.0, 2.0]
    assert means["value"].isna().tolist() == means["low"].isna().tolist() == [False, False, True]
