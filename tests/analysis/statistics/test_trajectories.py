"""Trajectories: what is read from them, and what a rule calls."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics import Alignment, Rule, aligned, detect, shape, smoothed, time_to

NUMBERS = st.lists(st.one_of(st.none(), st.floats(-100, 100)), min_size=1, max_size=30)


def series(values: "list[float] | list[float | None]", first: int = 1) -> "pd.Series[float]":
    return pd.Series(values, index=range(first, first + len(values)), dtype=float)


@settings(max_examples=60)
@given(NUMBERS, st.sampled_from([1, 3, 5, 9]))
def test_smooth_values_are_the_means_around_them_and_the_raw_line_stays(
    values: "list[float | None]", window: int
) -> None:
    raw = series(values).to_frame("a")
    found = smoothed(raw, window)
    assert found.raw is raw
    assert found.smooth["a"].isna().tolist() == raw["a"].isna().tolist()
    there = raw["a"].dropna().to_numpy()
    for at, value in enumerate(found.smooth["a"].dropna()):
        reach = min(at, len(there) - 1 - at, window // 2)
        assert value == pytest.approx(there[at - reach : at + reach + 1].mean(), abs=1e-9)


def test_smoothing_keeps_a_straight_line_and_refuses_even_windows() -> None:
    line = series([0.5 * step for step in range(20)]).to_frame("a")
    pd.testing.assert_frame_equal(smoothed(line, 7).smooth, line)
    with pytest.raises(ValueError, match="window=4 must be odd"):
        smoothed(line, 4)


def test_peak_and_area_of_a_tent() -> None:
    found = shape(series([0.0, 1.0, 2.0, np.nan, 0.0], first=10))
    assert (found.peak, found.peak_step) == (2.0, 12)
    assert found.area == pytest.approx(0.5 + 1.5 + 2.0)
    assert found.level == pytest.approx(found.area / 4)
    one = shape(series([0.7]))
    assert (one.peak, one.area, one.level) == (0.7, 0.0, 0.7)
    with pytest.raises(ValueError, match="no step"):
        shape(series([np.nan]))


def test_time_to_a_threshold_is_the_first_step_beyond_it_in_either_direction() -> None:
    rising, falling = series([0.1, 0.4, 0.3, 0.9]), series([0.9, np.nan, 0.5, 0.2])
    assert [time_to(rising, threshold) for threshold in (0.4, 0.5, 2.0)] == [2, 4, None]
    assert [time_to(falling, threshold) for threshold in (0.5, 0.1)] == [3, None]
    assert time_to(series([np.nan]), 1.0) is None


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


def test_runs_of_unequal_length_are_aligned_as_asked() -> None:
    runs = pd.DataFrame(
        {"a": [1.0, np.nan, 3.0, 4.0], "b": [np.nan, 2.0, 5.0, np.nan], "none": np.nan}, index=[1, 2, 3, 4]
    )
    common = aligned(runs)
    assert list(common.columns) == ["a", "b"]
    assert common.index.tolist() == [2, 3]
    assert common["a"].isna().tolist() == [True, False]
    held = aligned(runs, Alignment.HOLD)
    assert held["b"].tolist()[2:] == [5.0, 5.0]
    assert held["b"].isna().tolist() == [True, False, False, False]
    assert aligned(runs, Alignment.LONGEST) is runs
    assert aligned(runs[["none"]]).empty
