"""Intervals over seeds and problems: the slow direct reading of the definition, Student's as a limit, and coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import bootstrap_interval
from analysis.statistics.intervals import FloatArray, spread


@pytest.mark.slow
def test_the_interval_is_that_of_a_slow_direct_bootstrap_scaled_to_the_analysis_of_variance() -> None:
    seeds, problems, draws = 4, 40, 20_000
    values = np.random.default_rng(0).random((seeds, problems)) ** 2 + 0.2 * np.arange(seeds)[:, None]
    residual = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    noise = (residual**2).sum() / (seeds - 1) / (problems - 1) / values.size
    of_seeds = values.mean(1).var(ddof=1) / seeds
    of_problems = values.mean(0).var(ddof=1) / problems
    variance = of_seeds - noise + of_problems
    terms = ((of_seeds, seeds - 1), (noise, (seeds - 1) * (problems - 1)), (of_problems, problems - 1))
    dof = variance**2 / sum(term**2 / of for term, of in terms)
    generator = np.random.default_rng(1)
    direct = np.array(
        [
            values[generator.integers(0, seeds, seeds)][:, generator.integers(0, problems, problems)].mean()
            for _ in range(draws)
        ]
    )
    scale = stats.t.ppf(0.975, dof) * np.sqrt(variance) / (stats.norm.ppf(0.975) * direct.std())
    expected = values.mean() + scale * (np.quantile(direct, [0.025, 0.975]) - values.mean())
    estimate = bootstrap_interval(values, resamples=draws)
    assert estimate.value == pytest.approx(values.mean(), rel=1e-12)
    assert [estimate.low, estimate.high] == pytest.approx(expected, abs=0.03 * np.ptp(expected))
    assert (estimate.seeds, estimate.problems, estimate.confidence) == (seeds, problems, 0.95)


def test_one_problem_has_students_interval() -> None:
    values = np.array([[0.1], [0.5], [0.2], [0.9]])
    estimate = bootstrap_interval(values, confidence=0.9)
    expected = stats.t.interval(0.9, 3, loc=values.mean(), scale=stats.sem(values[:, 0]))
    assert (estimate.low, estimate.high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seeds", "problems", "of_seeds", "of_problems", "noise"),
    [
        (1, 60, 0.0, 0.3, 0.1),  # one run: speaks of problems only
        (3, 30, 0.1, 0.3, 0.1),  # few seeds that differ
        (5, 30, 0.0, 0.02, 0.3),  # noise of sampling answers dominates
        (5, 100, 0.05, 0.3, 0.1),
    ],
)
def test_the_interval_covers_the_truth_about_as_often_as_it_says(
    seeds: int, problems: int, of_seeds: float, of_problems: float, noise: float
) -> None:
    generator, trials = np.random.default_rng(0), 400
    covered = 0
    for _ in range(trials):
        values = (
            of_seeds * generator.standard_normal((seeds, 1))
            + of_problems * generator.standard_normal(problems)
            + noise * generator.standard_normal((seeds, problems))
        )
        estimate = bootstrap_interval(values, resamples=400)
        covered += estimate.low <= 0 <= estimate.high
    assert 0.92 <= covered / trials <= 0.985


@settings(max_examples=50)
@given(st.integers(1, 4), st.integers(1, 8), st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 2**32 - 1))
def test_intervals_move_and_stretch_with_their_values(
    seeds: int, problems: int, shift: float, scale: float, draw: int
) -> None:
    values: FloatArray = np.random.default_rng(draw).random((seeds, problems))
    plain = bootstrap_interval(values, resamples=50)
    moved = bootstrap_interval(shift + scale * values, resamples=50)
    assert plain.low <= plain.high
    for of_plain, of_moved in ((plain.value, moved.value), (plain.low, moved.low), (plain.high, moved.high)):
        assert of_moved == pytest.approx(shift + scale * of_plain, abs=1e-9 * (1 + abs(shift) + scale))


def test_a_spread_that_cannot_be_seen_is_not_made_up() -> None:
    assert (spread([np.ones((1, 1))]).error, spread([np.ones((3, 4))]).error) == (0.0, 0.0)
    assert spread([np.random.default_rng(0).random((1, 9))]).seed_variance == 0.0
    alone = bootstrap_interval([[0.4]])
    assert (alone.low, alone.value, alone.high) == (0.4, 0.4, 0.4)


def test_noise_that_swallows_the_seeds_leaves_an_interval_of_ordinary_width() -> None:
    """Subtracting the noise must not leave next to no degrees of freedom (found by hypothesis)."""
    values = np.random.default_rng(2091).random((3, 3))
    estimate = bootstrap_interval(values)
    assert 1 <= spread([values]).dof <= 4
    assert 0.1 < estimate.high - estimate.low < 2


def test_an_interval_is_reproducible_and_needs_finite_values() -> None:
    values = [0.0, 1.0, 0.5]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    for bad in ([], [0.1, float("nan")]):
        with pytest.raises(ValueError, match="values must be"):
            bootstrap_interval(bad)
    with pytest.raises(ValueError, match=r"confidence=1\.5"):
        bootstrap_interval(values, confidence=1.5)
    with pytest.raises(ValueError, match="resamples=0"):
        bootstrap_interval(values, resamples=0)


@pytest.mark.parametrize("shape", [(2, 30), (3, 1), (1, 30)])
def test_equal_values_have_no_spread_whatever_their_rounding(shape: tuple[int, int]) -> None:
    rounded = np.full(shape, 0.1 + 0.2)
    rounded[-1, -1] = 0.3
    for values in (rounded, np.full(shape, 1 - 10626 / 35960), np.full(shape, 0.7049499443826474)):
        estimate = bootstrap_interval(values)
        assert (estimate.low, estimate.high) == pytest.approx((values.mean(), values.mean()), abs=1e-12)
        assert np.isnan(spread([values]).dof)
    assert spread([np.full(shape, 1e-9) * np.linspace(1, 2, rounded.size).reshape(shape)]).error > 0
