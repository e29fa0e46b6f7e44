"""Bootstrap intervals over seeds and problems, scaled to the spread that a sample of this size really has.

Scores form a table of seeds × problems. Each draw resamples problems (jointly for all seeds: they are the same
problems) and whole seeds (jointly for all problems: a seed is one training run). The plain percentiles of such draws
are too narrow with few seeds, because resampling S seeds has (S - 1)/S of their variance and normal, not Student,
tails; and too wide where noise dominates, which resampling both sides counts three times (Owen 2007, "The pigeonhole
bootstrap"). So the draws give the shape, and their width is scaled to Student's t times the standard error from the
analysis of variance. docs/statistics.md has the formulas and the measured coverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 4000
# A standard error of so small a share of the values is their rounding: values that are all equal show no spread.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval.

    Attributes:
        value: the mean over seeds and problems.
        low, high: ends of the interval.
        confidence: its nominal coverage, e.g. 0.95.
        problems: how many problems it rests on.
        seeds: how many training runs.
    """

    value: float
    low: float
    high: float
    confidence: float
    problems: int
    seeds: int


@dataclass(frozen=True)
class Spread:
    """Sampling variance of a mean, or of a difference of means, by where it comes from.

    Attributes:
        seed_variance: part that more seeds shrink; 0 with one seed, where it cannot be seen.
        problem_variance: part that more problems shrink, noise of sampling answers included; 0 with one problem.
        dof: Satterthwaite's degrees of freedom of their sum; NaN where there is no variance to see.
    """

    seed_variance: float
    problem_variance: float
    dof: float

    @property
    def error(self) -> float:
        """Standard error."""
        return float(np.sqrt(self.seed_variance + self.problem_variance))


def bootstrap_interval(
    values_S_P: npt.ArrayLike,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Interval of the mean over seeds and problems.

    With one seed it speaks of other problems for this one run, with one problem of other seeds.

    Args:
        values_S_P: one value a seed and problem, float (seeds, problems), or (problems,) for one seed.
        confidence: nominal coverage.
        resamples: bootstrap draws.
        seed: of the resampling; the same seed gives the same interval.
        bounds: the least and greatest possible mean; the interval is cut there.

    Raises:
        ValueError: no value, a value that is not finite, more than two dimensions, a confidence outside (0, 1)
            or no resample.
    """
    values = table_of_values(values_S_P)
    low, high = scaled_interval([values], confidence=confidence, resamples=resamples, seed=seed)
    return Estimate(
        value=float(values.mean()),
        low=float(np.clip(low, *bounds)),
        high=float(np.clip(high, *bounds)),
        confidence=confidence,
        problems=values.shape[1],
        seeds=values.shape[0],
    )


def table_of_values(values_S_P: npt.ArrayLike, *, infinite: bool = False) -> FloatArray:
    """The values as float (seeds, problems).

    Args:
        values_S_P: float (seeds, problems), or (problems,) for one seed.
        infinite: whether a value may be infinite.

    Raises:
        ValueError: no value, a value that is NaN or infinite, or more than two dimensions.
    """
    values = np.atleast_2d(np.asarray(values_S_P, dtype=np.float64))
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must be (seeds, problems) and not empty; got shape {values.shape}")
    if np.isnan(values).any() or (not infinite and np.isinf(values).any()):
        raise ValueError("values must be finite; evaluate each problem for each seed")
    return values


def spread(arms: Sequence[FloatArray]) -> Spread:
    """Spread of the mean of one arm, or of the difference between two with independent seeds on the same problems.

    Two-way analysis of variance with random seeds and problems. A negative estimate of the seeds' part counts as 0.

    Args:
        arms: one or two tables, float (seeds, problems), with the same problems.
    """
    problems = arms[0].shape[1]
    terms: list[tuple[float, int]] = []
    seed_variance, of_all_seeds = 0.0, 0.0
    for values in arms:
        seeds = len(values)
        if seeds == 1:
            continue
        of_seeds = float(values.mean(axis=1).var(ddof=1)) / seeds
        noise, noise_dof = 0.0, (seeds - 1) * (problems - 1)
        if noise_dof:
            residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
            noise = float(np.square(residual).sum()) / noise_dof / values.size
        of_all_seeds += of_seeds
        if of_seeds > noise:
            seed_variance += of_seeds - noise
            terms += [(of_seeds, seeds - 1), (noise, max(noise_dof, 1))]
    problem_variance = 0.0
    if problems > 1:
        problem_variance = float(_contrast([values.mean(axis=0) for values in arms]).var(ddof=1)) / problems
        terms.append((problem_variance, problems - 1))
        # The true sum is at least the seeds' mean square, noise included; an estimate with few problems may not be.
        seed_variance = max(seed_variance, of_all_seeds - problem_variance)
    uncertainty = sum(term**2 / dof for term, dof in terms)
    if not uncertainty or seed_variance + problem_variance <= (_ROUNDING * _largest(arms)) ** 2:
        return Spread(0.0, 0.0, np.nan)
    # Satterthwaite's formula takes the terms as added; where noise was subtracted it can fall below all of them.
    fewest = min(dof for term, dof in terms if term > 0)
    return Spread(
        seed_variance, problem_variance, max((seed_variance + problem_variance) ** 2 / uncertainty, float(fewest))
    )


def _largest(arms: Sequence[FloatArray]) -> float:
    return max(float(np.abs(values).max()) for values in arms)


def scaled_interval(
    arms: Sequence[FloatArray], *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Ends of the interval of a mean, or of the difference of two arms' means.

    Args:
        arms: as for `spread`.
        confidence: nominal coverage.
        resamples: bootstrap draws; none are made where there is one problem only, which has Student's interval.
        seed: of the resampling.

    Raises:
        ValueError: a confidence outside (0, 1) or no resample.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence={confidence} must lie between 0 and 1, resamples={resamples} be at least 1")
    value = float(_contrast([values.mean() for values in arms]))
    of = spread(arms)
    if not of.error > 0:
        return value, value
    tail = (1 + confidence) / 2
    half = float(stdtrit(of.dof, tail)) * of.error
    if arms[0].shape[1] == 1:
        return value - half, value + half
    problem_shares = _shares(arms[0].shape[1], resamples, seed, 0)
    deviations = (
        _contrast(
            [
                ((problem_shares @ values.T) * _shares(len(values), resamples, seed, 1 + arm)).sum(axis=1)
                for arm, values in enumerate(arms)
            ]
        )
        - value
    )
    deviations *= half / (float(ndtri(tail)) * float(deviations.std()))
    low, high = np.quantile(deviations, [1 - tail, tail])
    return value + float(low), value + float(high)


def _contrast(of_arms: Sequence[npt.NDArray[np.float64] | np.float64]) -> FloatArray:
    """The one, or the first minus the second."""
    return np.asarray(of_arms[0] if len(of_arms) == 1 else of_arms[0] - of_arms[1])


def resampled_shares(size: int, resamples: int, seed: int, stream: int) -> FloatArray:
    """How often each of `size` things is drawn, as shares: float (resamples, size); streams are independent."""
    return _shares(size, resamples, seed, stream)


@lru_cache(maxsize=16)  # curves and tables ask for the same sizes again and again, and drawing is most of the cost
def _shares(size: int, resamples: int, seed: int, stream: int) -> FloatArray:
    generator = np.random.default_rng([seed, stream])
    return np.asarray(generator.multinomial(size, np.full(size, 1 / size), resamples) / size)
