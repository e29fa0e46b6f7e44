"""Two methods on the same problems: their difference, whether it is separated from zero, and what would separate it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from analysis.statistics.intervals import (
    CONFIDENCE,
    RESAMPLES,
    FloatArray,
    Spread,
    resampled_shares,
    scaled_interval,
    spread,
    table_of_values,
)

POWER = 0.8
_MOST_NEEDED = 10_000


@dataclass(frozen=True)
class Difference:
    """First method minus second.

    Attributes:
        value: difference of the means.
        low, high: ends of its interval; the value itself where one seed and one problem leave nothing to see.
        confidence: nominal coverage of the interval.
        p: two-sided, Student's t with `spread.dof`; NaN where there is no spread to judge by.
        improvement: probability that a run of the first beats a run of the second on a problem, ties half.
        improvement_low, improvement_high: its percentile interval.
        seeds: training runs of the first and of the second.
        problems: common problems; 1 for a number that a run has once.
        paired: whether the seeds are pairs.
        spread: where the variance of `value` comes from.
    """

    value: float
    low: float
    high: float
    confidence: float
    p: float
    improvement: float
    improvement_low: float
    improvement_high: float
    seeds: tuple[int, int]
    problems: int
    paired: bool
    spread: Spread


def difference(
    first_S_P: npt.ArrayLike,
    second_S_P: npt.ArrayLike,
    *,
    paired: bool,
    bound: float = np.inf,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Difference of two methods' means over seeds and problems.

    Problems are always paired and resampled jointly for both methods. Paired seeds are resampled as pairs, others
    independently for each method. Where a value is infinite so is the difference (NaN where both methods have some),
    its interval holds everything and there is no p.

    Args:
        first_S_P: float (seeds, problems); a row is a run, a column a problem. One column for numbers that a run has
            once, such as its final entropy: then the interval and p are those of the paired t-test, or of Welch's.
        second_S_P: the same for the other method, with the same columns.
        paired: whether row i of both has the same seed.
        bound: the largest difference that can be; the interval is cut there.
        confidence: nominal coverage.
        resamples: bootstrap draws.
        seed: of the resampling.

    Raises:
        ValueError: values that are missing, different problems, or pairs of different length.
    """
    first, second = (table_of_values(values, infinite=True) for values in (first_S_P, second_S_P))
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"both methods need the same problems; got {first.shape[1]} and {second.shape[1]}")
    if paired and len(first) != len(second):
        raise ValueError(f"pairs of seeds need as many of both; got {len(first)} and {len(second)}")
    if np.isfinite(first).all() and np.isfinite(second).all():
        arms = [first - second] if paired else [first, second]
        of = spread(arms)
        low, high = scaled_interval(arms, confidence=confidence, resamples=resamples, seed=seed)
    else:
        of, low, high = Spread(np.nan, np.nan, np.nan), -np.inf, np.inf
    with np.errstate(invalid="ignore"):
        value = float(first.mean() - second.mean())
    improvement, improvement_low, improvement_high = probability_of_improvement(
        first, second, paired=paired, confidence=confidence, resamples=resamples, seed=seed
    )
    return Difference(
        value=value,
        low=max(low, -bound),
        high=min(high, bound),
        confidence=confidence,
        p=float(2 * stdtr(of.dof, -abs(value) / of.error)) if of.error > 0 else np.nan,
        improvement=improvement,
        improvement_low=improvement_low,
        improvement_high=improvement_high,
        seeds=(len(first), len(second)),
        problems=first.shape[1],
        paired=paired,
        spread=of,
    )


def probability_of_improvement(
    first_S_P: FloatArray,
    second_S_P: FloatArray,
    *,
    paired: bool = False,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """P(first > second) + P(equal)/2 over all pairs of runs, averaged over problems: rliable's definition.

    Its percentile interval resamples problems and seeds as `difference` does, without the scaling: the value lies in
    [0, 1] and with few seeds takes few values.

    Returns:
        value, low, high.
    """
    problems = first_S_P.shape[1]
    first_shares = resampled_shares(len(first_S_P), resamples, seed, 1)
    second_shares = first_shares if paired else resampled_shares(len(second_S_P), resamples, seed, 2)
    if problems == 1:
        first, second = first_S_P[:, 0], second_S_P[:, 0]
        draws = (first_shares * _share_below(first, second, second_shares)).sum(axis=1)
        value = float(_share_below(first, second, np.full((1, len(second)), 1 / len(second))).mean())
    else:
        problem_shares = resampled_shares(problems, resamples, seed, 0)
        draws, value = np.zeros(resamples), 0.0
        # A run at a time, as all pairs of many runs would not fit into memory.
        for share, run_P in zip(first_shares.T, first_S_P, strict=True):
            above_S_P = (run_P > second_S_P) + 0.5 * (run_P == second_S_P)
            draws += share * ((problem_shares @ above_S_P.T) * second_shares).sum(axis=1)
            value += float(above_S_P.mean()) / len(first_S_P)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return value, float(low), float(high)


def _share_below(values: FloatArray, others: FloatArray, shares: FloatArray) -> FloatArray:
    """P(other < value) + P(equal)/2 of each value, float (draws, values); sorting makes it n log n, not n squared.

    Args:
        values: float (values,).
        others: float (others,).
        shares: weight of each other, float (draws, others).
    """
    order = np.argsort(others)
    below = np.concatenate([np.zeros((len(shares), 1)), shares[:, order].cumsum(axis=1)], axis=1)
    ends = [np.searchsorted(others[order], values, side) for side in ("left", "right")]
    halves: FloatArray = (below[:, ends[0]] + below[:, ends[1]]) / 2
    return halves


def holm(p_values: Sequence[float]) -> FloatArray:
    """p-values adjusted for their number by Holm's step-down procedure; NaN entries stay and do not count.

    The chance of any false rejection at level α is at most α whatever the dependence (Holm 1979).

    Args:
        p_values: of one family of tests.

    Returns:
        float, same order: reject where at most α.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def seeds_needed(of: Difference, level: float = 1 - CONFIDENCE, power: float = POWER) -> int | None:
    """Seeds an arm at which the seen difference, if it is the true one, would be separated with the given power.

    Args:
        of: the difference; its spread is taken for the true one.
        level: of the two-sided test; divide it by the number of comparisons where there are several.
        power: chance of separation.

    Returns:
        None where no number of seeds is enough on these problems, or where one seed shows no spread over seeds.
    """
    if min(of.seeds) < 2:
        return None
    return _needed(of, level, power)


def _needed(of: Difference, level: float, power: float) -> int | None:
    seeds = np.arange(2, _MOST_NEEDED + 1)
    from_seeds = of.spread.seed_variance * _equal_size(of.seeds) / seeds
    from_problems = of.spread.problem_variance
    seed_dof = np.maximum((seeds - 1) * (1 if of.paired else 2), 1)
    total = from_seeds + from_problems
    with np.errstate(divide="ignore", invalid="ignore"):
        dof = total**2 / (from_seeds**2 / seed_dof + from_problems**2 / max(of.problems - 1, 1))
        reach = (stdtrit(dof, 1 - level / 2) + stdtrit(dof, power)) * np.sqrt(total)
    enough = np.flatnonzero(abs(of.value) >= reach)
    return int(seeds[enough[0]]) if enough.size else None


def _equal_size(seeds: tuple[int, int]) -> float:
    """Size of two equal arms whose difference has as much variance as that of arms of these sizes."""
    return 2 / (1 / seeds[0] + 1 / seeds[1])
