"""pass@k of runs from their counts: what is in the table, what is left out."""

from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import statistics
from analysis.sources import run_store
from tests.analysis.stores import PROBLEMS, SAMPLES, correct, write_run


def counts(table: dict[tuple[str, int], list[int]], n: int = 8) -> pd.DataFrame:
    """Counts with the right answers of each (run, step)."""
    rows = [
        {"run": run, "step": step, "data_set": "d", "problem": f"p{problem:02d}", "n": n, "c": c, "mean_length": 1.0}
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


def test_the_estimate_is_that_of_the_table_of_seeds_and_problems() -> None:
    generator = np.random.default_rng(1)
    table = {(f"seed{seed}", 0): generator.integers(0, 9, 20).tolist() for seed in range(4)}
    expected = statistics.bootstrap_interval(np.array(list(table.values())) / 8)
    assert statistics.pass_at_k_estimate(counts(table), 0, 1) == expected
    assert (expected.seeds, expected.problems) == (4, 20)


def test_an_interval_of_pass_at_k_stays_between_0_and_1() -> None:
    estimate = statistics.pass_at_k_estimate(counts({("a", 0): [8, 8, 8, 8, 2], ("b", 0): [8, 8, 8, 8, 8]}), 0, 1)
    assert estimate is not None
    assert 0 < estimate.low < estimate.value < estimate.high == 1


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
