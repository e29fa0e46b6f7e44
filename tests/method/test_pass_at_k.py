"""pass@k from counts, exactly."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.pass_at_k import pass_at_k


@given(data=st.data(), n=st.integers(1, 128))
def test_it_is_the_exact_combinatorial_value(data: st.DataObject, n: int) -> None:
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert float(pass_at_k(n, c, k)) == pytest.approx(float(exact), abs=1e-12)


def test_values_of_the_papers_setting() -> None:
    assert float(pass_at_k(32, 1, 16)) == 0.5
    assert float(pass_at_k(32, 0, 16)) == 0.0
    assert float(pass_at_k(32, 17, 16)) == 1.0
    # AMC23 has 40 problems: 96.25 is one unsolved problem and one solved once (Table 2, Clip-Cov).
    counts = np.array([0, 1] + [32] * 38)
    assert 100 * pass_at_k(np.full(40, 32), counts, 16).mean() == pytest.approx(96.25)
    assert pass_at_k(np.full(40, 32), counts, 1).mean() == pytest.approx(counts.mean() / 32)


@pytest.mark.parametrize(
    ("hardest", "published"),
    [  # right answers of the two hardest of AMC23's 40 problems; Table 2, truncated to two decimals
        ((0, 32), "97.50"),
        ((0, 1), "96.25"),
        ((0, 0), "95.00"),
        ((0, 3), "97.21"),  # 97.2177...
        ((2, 32), "99.39"),  # 99.3951...
    ],
)
def test_published_pass_at_16_on_amc23(hardest: tuple[int, int], published: str) -> None:
    counts = np.array([*hardest, *[32] * 38])
    exact = sum(1 - Fraction(math.comb(32 - c, 16), math.comb(32, 16)) for c in counts.tolist()) / 40
    assert math.floor(exact * 10_000) / 100 == float(published)
    assert pass_at_k(np.full(40, 32), counts, 16).mean() == pytest.approx(float(exact), abs=1e-12)


def test_pass_at_k_grows_with_k_and_equals_the_rate_at_1() -> None:
    n, c = np.full(33, 32), np.arange(33)
    rows = np.array([pass_at_k(n, c, k) for k in range(1, 33)])
    assert (np.diff(rows, axis=0) >= -1e-12).all()
    np.testing.assert_allclose(rows[0], c / 32)


@pytest.mark.parametrize(
    ("n", "c", "k", "says"),
    [
        ([32, 8], [1, 1], 16, "problem 1 has 8"),
        ([32, 32], [1, 33], 1, "problem 1 has more right answers"),
        ([32, 32], [-1, 3], 1, "problem 0 has a negative count"),
        ([32], [1], 0, "at least 1"),
        ([32], [1], 2.5, "whole number"),
        ([32, 2.7], [1, 1], 1, r"problem 1 has a sample count of 2\.7"),
        ([32, 32], [1, float("nan")], 1, "problem 1 has a right answer count of nan"),
    ],
)
def test_impossible_counts_are_refused(n: list[float], c: list[float], k: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pass_at_k(n, c, k)
