"""Unbiased pass@k from counts, and intervals that treat problems as the sample. No torch."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its percentile-bootstrap interval.

    Attributes:
        value: the mean over problems.
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


def pass_at_k(n: npt.ArrayLike, c: npt.ArrayLike, k: int) -> FloatArray:
    """Probability that at least one of k samples drawn without replacement from the n is right.

    1 - C(n-c, k) / C(n, k), Chen et al. 2021 (arXiv 2107.03374) eq. 1, as a product of factors in [0, 1], exact
    for all n that fit a float.

    Args:
        n: samples of each problem, integers, any shape.
        c: right ones among them, same shape.
        k: 1 <= k <= every n.

    Returns:
        an estimate a problem, float64, in the shape of n.

    Raises:
        ValueError: k < 1, k > n, c > n, c < 0, or one of them not a whole number; names the first problem.
    """
    n_, c_ = np.broadcast_arrays(_counts(n, "sample"), _counts(c, "right answer"))
    if k < 1 or k != int(k):
        raise ValueError(f"pass@{k} is not defined; k must be a whole number of at least 1")
    for wrong, what in ((c_ < 0, "has a negative count"), (c_ > n_, "has more right answers than samples")):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"problem {first} {what} (n={n_.flat[first]}, c={c_.flat[first]})")
    if (n_ < k).any():
        first = int(np.flatnonzero(n_ < k)[0])
        raise ValueError(f"pass@{k} needs at least {k} samples; problem {first} has {n_.flat[first]}")
    # C(n-c, k) / C(n, k) = prod_{i<k} (n-c-i) / (n-i)
    draws = np.arange(k)
    wrong_left = np.maximum((n_ - c_)[..., None] - draws, 0)
    failure: FloatArray = np.prod(wrong_left / (n_[..., None] - draws), axis=-1)
    return 1.0 - failure


def bootstrap_interval(
    values_S_P: npt.ArrayLike, *, confidence: float = 0.95, resamples: int = 4000, seed: int = 0
) -> Estimate:
    """Interval of the mean over seeds and problems, by resampling both.

    Problems are resampled jointly for all seeds (they are the same problems) and seeds independently of them, so
    that both sources of variation count. With one seed it is the bootstrap over problems.

    Args:
        values_S_P: one value a seed and problem, float (seeds, problems), or (problems,) for one seed.
        confidence: nominal coverage of the percentile interval.
        resamples: bootstrap draws.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        ValueError: no value, a value that is not finite, more than two dimensions, a confidence outside (0, 1)
            or no resample.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence={confidence} must lie between 0 and 1, resamples={resamples} be at least 1")
    values = np.atleast_2d(np.asarray(values_S_P, dtype=np.float64))
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must be (seeds, problems) and not empty; got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite; evaluate each problem for each seed")
    seeds, problems = values.shape
    seed_weights, problem_weights = _resampling_weights(seeds, problems, resamples, seed)
    means = ((problem_weights @ values.T) * seed_weights).sum(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), confidence, problems, seeds)


def _counts(values: npt.ArrayLike, what: str) -> IntArray:
    """Whole numbers as int64; numpy alone would cut 2.7 to 2."""
    values_ = np.asarray(values)
    with np.errstate(invalid="ignore"):
        counts: IntArray = values_.astype(np.int64)
    if (counts != values_).any():
        first = int(np.flatnonzero(counts != values_)[0])
        raise ValueError(f"problem {first} has a {what} count of {values_.flat[first]}; give whole numbers")
    return counts


@lru_cache(maxsize=8)  # curves and tables ask for the same sizes again and again, and drawing is most of the cost
def _resampling_weights(seeds: int, problems: int, resamples: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """How often each seed and each problem is drawn, as shares: float (resamples, seeds) and (resamples, problems)."""
    generator = np.random.default_rng(seed)
    problem_weights = generator.multinomial(problems, np.full(problems, 1 / problems), resamples) / problems
    seed_weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    return seed_weights, problem_weights
