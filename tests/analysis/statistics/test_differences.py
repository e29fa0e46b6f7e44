"""Differences of two methods: the t-tests that they end in, rliable's and statsmodels' numbers, coverage and power."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.statistics import difference, holm, probability_of_improvement, seeds_needed
from analysis.statistics.intervals import FloatArray, Spread

RLIABLE = json.loads(Path(__file__).with_name("rliable_reference.json").read_text())


def columns(*arms: list[float]) -> list[FloatArray]:
    return [np.array(arm)[:, None] for arm in arms]


def test_numbers_that_a_run_has_once_get_the_paired_t_test() -> None:
    first, second = columns([0.31, 0.42, 0.38, 0.55], [0.22, 0.40, 0.21, 0.33])
    found = difference(first, second, paired=True, confidence=0.9)
    expected = stats.ttest_rel(first[:, 0], second[:, 0])
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.seeds, found.problems, found.paired, found.confidence) == ((4, 4), 1, True, 0.9)


def test_the_interval_ends_where_differences_end() -> None:
    first, second = np.array([[0.1, 0.2], [0.9, 0.8]]), np.array([[0.8, 0.9], [0.1, 0.1]])
    free, cut = (difference(first, second, paired=True, bound=bound) for bound in (np.inf, 1.0))
    assert free.low < -1
    assert free.high > 1
    assert (cut.low, cut.high) == (-1, 1)
    assert (cut.value, cut.p) == (free.value, free.p)


def test_numbers_without_pairs_get_welchs_t_test() -> None:
    first, second = columns([0.3, 0.9, 0.5, 0.7, 0.2], [0.1, 0.15, 0.12])
    found = difference(first, second, paired=False)
    expected = stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, interval.low, interval.high))


def test_one_run_an_arm_on_many_problems_gets_the_t_test_over_problems() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random((1, 40)), generator.random((1, 40))
    found = difference(first, second, paired=True)
    assert found.p == pytest.approx(stats.ttest_rel(first[0], second[0]).pvalue)


@pytest.mark.slow
@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("seeds", "problems"), [(3, 30), (6, 60)])
def test_the_interval_of_a_difference_covers_the_truth_and_agrees_with_p(
    paired: bool, seeds: int, problems: int
) -> None:
    generator, trials, truth = np.random.default_rng(1), 300, 0.1
    covered, agree = 0, 0
    for _ in range(trials):
        shared = generator.normal(size=problems)
        arms = [
            truth * (arm == 0)
            + shared
            + 0.3 * generator.normal(size=problems)
            + 0.1 * generator.normal(size=(seeds, 1))
            + 0.4 * generator.normal(size=(seeds, problems))
            for arm in range(2)
        ]
        found = difference(arms[0], arms[1], paired=paired, resamples=400)
        covered += found.low <= truth <= found.high
        agree += (found.low > 0 or found.high < 0) == (found.p < 0.05)
    assert 0.915 <= covered / trials <= 0.99
    assert agree / trials >= 0.95


def test_difficulty_that_both_share_does_not_widen_the_difference() -> None:
    generator = np.random.default_rng(2)
    difficulty = generator.normal(size=50)
    first, second = generator.normal(scale=0.1, size=(2, 4, 50))
    plain = difference(first, second, paired=True)
    hard = difference(first + difficulty, second + difficulty, paired=True)
    assert (hard.low, hard.high, hard.p) == pytest.approx((plain.low, plain.high, plain.p))


def test_the_probability_of_improvement_is_rliables() -> None:
    first, second = np.array(RLIABLE["first"]), np.array(RLIABLE["second"])
    value, low, high = probability_of_improvement(first, second)
    assert value == pytest.approx(RLIABLE["probability of improvement"], abs=1e-12)
    assert 0 <= low < value < high <= 1
    assert probability_of_improvement(second, first)[0] == pytest.approx(1 - value)
    assert probability_of_improvement(first, first, paired=True) == pytest.approx((0.5, 0.5, 0.5), abs=0.2)
    assert probability_of_improvement(first + 2, second) == pytest.approx((1.0, 1.0, 1.0))


@given(
    arrays(float, st.integers(1, 7), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0, math.inf])),
    arrays(float, st.integers(1, 7), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0, math.inf])),
)
def test_sorting_finds_the_same_pairs_as_comparing_all(first: FloatArray, second: FloatArray) -> None:
    """One column takes the way of sorting, two equal ones that of all pairs; problems' weights sum to 1."""
    once = probability_of_improvement(first[:, None], second[:, None], resamples=50)
    twice = probability_of_improvement(
        np.stack([first, first], axis=1), np.stack([second, second], axis=1), resamples=50
    )
    counted = np.mean([(a > b) + 0.5 * (a == b) for a in first for b in second])
    assert once == pytest.approx(twice)
    assert once[0] == pytest.approx(counted)


def test_holms_adjustment_is_that_of_statsmodels_and_leaves_gaps_alone() -> None:
    p_values = RLIABLE["p values"]
    assert holm(p_values).tolist() == pytest.approx(RLIABLE["holm"], abs=1e-12)
    with_gaps = holm([np.nan, *p_values, np.nan])
    assert np.isnan(with_gaps[[0, -1]]).all()
    assert with_gaps[1:-1].tolist() == pytest.approx(RLIABLE["holm"], abs=1e-12)
    assert holm([]).size == 0


def test_holm_rejects_something_false_no_more_often_than_the_level() -> None:
    generator, families = np.random.default_rng(3), 2_000
    wrong = sum(bool((holm(generator.random(6).tolist()) <= 0.05).any()) for _ in range(families))
    assert 0.03 <= wrong / families <= 0.065


def test_with_the_seeds_needed_a_true_difference_is_seen_four_times_in_five() -> None:
    truth, scale = 1.0, 1.2
    seen = difference(*columns([truth, truth], [0.0, 0.0]), paired=True)
    seen = replace(seen, spread=Spread(2 * scale**2 / 2, 0.0, 1.0))
    needed = seeds_needed(seen)
    assert needed is not None
    error = np.sqrt(2 / needed) * scale
    critical = stats.t.ppf(0.975, needed - 1)
    power = stats.nct.sf(critical, needed - 1, truth / error)
    assert 0.78 <= power <= 0.85
    assert seeds_needed(replace(seen, value=truth / 2)) > 3 * needed  # type: ignore[operator]


def test_what_no_number_of_seeds_would_show_is_none() -> None:
    generator = np.random.default_rng(4)
    of_problems = generator.permutation([-1.0, 1.0] * 10)
    first, second = 0.3 + of_problems + generator.normal(scale=0.01, size=(3, 20)), np.zeros((3, 20))
    found = difference(first, second, paired=True)
    assert seeds_needed(found) is None  # the spread is that of the problems
    one = difference(first[:1], second[:1], paired=True)
    assert seeds_needed(one) is None


def test_tables_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="need the same problems; got 3 and 4"):
        difference(np.zeros((2, 3)), np.zeros((2, 4)), paired=True)
    with pytest.raises(ValueError, match="pairs of seeds need as many of both; got 2 and 3"):
        difference(np.zeros((2, 3)), np.zeros((3, 3)), paired=True)


def test_a_difference_that_is_the_same_everywhere_has_no_p_for_its_rounding() -> None:
    rates = np.linspace(0.1, 0.7, 30)[None] + np.array([[0.0], [0.05]])
    found = difference(rates + 0.2, rates, paired=True)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    assert np.isnan(found.p)
