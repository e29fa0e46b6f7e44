"""Trajectories: what is read from them, and what a rule calls."""

import numpy as np
import pandas as pd
import pytest

from analysis.statistics import Rule, detect, shape


def series(values: "list[float] | list[float | None]", first: int = 1) -> "pd.Series[float]":
    return pd.Series(values, index=range(first, first + len(values)), dtype=float)


def test_peak_and_area_of_a_tent() -> None:
    found = shape(series([0.0, 1.0, 2.0, np.nan, 0.0], first=10))
    assert (found.peak, found.peak_step) == (2.0, 12)
    assert found.area == pytest.approx(0.5 + 1.5 + 2.0)
    assert found.level == pytest.approx(found.area / 4)
    one = shape(series([0.7]))
    assert (one.peak, one.area, one.level) == (0.7, 0.0, 0.7)
    with pytest.raises(ValueError, match="no step"):
        shape(series([np.nan]))


def test_an_explosion_is_called_when_most_of_the_window_is_beyond() -> None:
    assert detect(series([1.0] * 6 + [2.0, 2.0, 1.0] * 2)).exploded_at == 10  # 2, 2, 1, 2 and the 1 before
    spike = detect(series([1.0] * 6 + [9.0, 9.0] + [1.0] * 6))
    assert (spike.start, spike.exploded_at, spike.collapsed_at) == (1.0, None, None)


def test_a_run_can_explode_and_then_collapse() -> None:
    found = detect(series([0.8] * 5 + [1.7] * 5 + [0.05] * 5))
    assert (found.exploded_at, found.collapsed_at) == (8, 13)
    mild = detect(series([0.8] * 5 + [0.3] * 10))
    assert mild.collapsed_at is None
    assert detect(series([0.8] * 5 + [0.3] * 10), Rule(collapse=0.5)).collapsed_at == 8


def test_nothing_is_called_of_a_run_too_short_to_judge() -> None:
    found = detect(series([1.0, 5.0, 5.0, 5.0]))
    assert np.isnan(found.start)
    assert (found.exploded_at, found.collapsed_at) == (None, None)


def test_a_rule_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"explosion=0\.9"):
        Rule(explosion=0.9)
    with pytest.raises(ValueError, match="window=0"):
        Rule(window=0)
