"""How success rates are spread over the groups of a batch, inferred from the shares that a run with the mean records.

A run records no histogram of its groups' success counts. It records of every batch how many of the groups have both
right and wrong responses, the share of right responses in these, and the share of them that are hard at K = 0.5
(p <= 1/2). `infer` finds a distribution that has all three; what any other K would do follows from it (eq. 4 of the
paper, `qae.theory`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betaln, gammaln

from qae import theory
from qae.theory import FloatArray

_HALF = 0.5
# Where to look for the concentration a + b and the mean a / (a + b) of the beta distribution, and for the tilt.
_CONCENTRATIONS = (1e-3, 1e4)
_MEANS = (1e-3, 1 - 1e-3)
_STEEPEST = 200.0


@dataclass(frozen=True)
class Observed:
    """What a run with the mean records of its groups, averaged over some steps.

    Attributes:
        group_size: responses a prompt, at least 2.
        mixed: share of the sampled groups that have both right and wrong responses, in (0, 1].
        trained: share of the groups of the update that have both; 1 under dynamic sampling.
        right: share of right responses in the mixed groups.
        hard: share of the mixed groups with p <= 1/2.
    """

    group_size: int
    mixed: float
    trained: float
    right: float
    hard: float


@dataclass(frozen=True)
class SuccessRates:
    """Success rates over the groups that an update is made from.

    Attributes:
        share_S: float (G + 1,): share of the groups with s of G responses right; sums to 1.
    """

    share_S: FloatArray

    @property
    def rates(self) -> FloatArray:
        """Success rates s / G, float (G + 1,)."""
        return np.asarray(np.linspace(0, 1, len(self.share_S)))

    def hard_share(self, k: float) -> float:
        """Share of the mixed groups that teach by their right responses under K: p <= 1 - K."""
        mixed = self.share_S[1:-1]
        return float(mixed @ theory.is_hard(self.rates[1:-1], k) / mixed.sum())

    def band_share(self, k: float) -> float:
        """Share of the groups with p between 1/2 and 1 - K: the only ones that K treats otherwise than K = 0.5."""
        moved = theory.is_hard(self.rates, k) != theory.is_hard(self.rates, _HALF)
        return float(self.share_S[1:-1] @ moved[1:-1])

    def zero_share(self, k: float) -> float:
        """Share of responses with advantage 0 under K."""
        return float(self.share_S @ theory.zero_advantage_share(self.rates, k))

    def positive_share(self, k: float) -> float:
        """Share of responses with positive advantage under K: right ones of hard groups."""
        return float(self.share_S[1:-1] @ np.where(theory.is_hard(self.rates, k), self.rates, 0)[1:-1])


def infer(observed: Observed) -> SuccessRates:
    """The distribution that has the observed shares and is nearest to a beta-binomial one.

    The beta-binomial distribution has as many groups without both kinds as were sampled and, among the others, the
    observed share of right responses. Of all distributions over s = 1 ... G - 1 with the observed `right` and `hard`,
    the nearest by Kullback-Leibler divergence is that one times exp(a s), scaled in its hard and its easy part
    (Csiszár 1975, I-projection); a is found by bisection. Where no distribution has both, the nearest mean is taken.

    Raises:
        ValueError: shares outside [0, 1], no mixed group, or groups of less than two responses.
    """
    _check(observed)
    size = observed.group_size
    count_S = np.arange(1, size)
    weight_S = _nearest_beta_binomial(observed)[1:-1]
    hard_S = np.asarray(2 * count_S <= size)
    target = observed.right * size

    def tilted(slope: float) -> FloatArray:
        share_S = np.zeros(size - 1)
        for part_S, mass in ((hard_S, observed.hard), (~hard_S, 1 - observed.hard)):
            if part_S.any():
                log_S = np.log(weight_S[part_S]) + slope * count_S[part_S]
                exp_S = np.exp(log_S - log_S.max())
                share_S[part_S] = mass * exp_S / exp_S.sum()
        return np.asarray(share_S / share_S.sum())

    def excess(slope: float) -> float:
        return float(tilted(slope) @ count_S) - target

    slope = _root(excess, -_STEEPEST, _STEEPEST, tolerance=1e-12)
    # Groups without both kinds have advantage 0 under every K; that all of them are wrong stands for either.
    return SuccessRates(np.array([1 - observed.trained, *(observed.trained * tilted(slope)), 0.0]))


def _check(observed: Observed) -> None:
    shares = (observed.mixed, observed.trained, observed.right, observed.hard)
    if not all(0 <= share <= 1 for share in shares) or observed.mixed == 0 or observed.trained == 0:
        raise ValueError(f"shares must lie between 0 and 1, and some group be mixed; got {observed}")
    if observed.group_size < 2:
        raise ValueError(f"a group of {observed.group_size} has no success rate between 0 and 1")


def _nearest_beta_binomial(observed: Observed) -> FloatArray:
    """Shares of s = 0 ... G of a beta-binomial distribution with the observed `mixed`, and `right` among the mixed.

    Where none has both, the ends of the search are the nearest.
    """
    size = observed.group_size

    def of_concentration(log_concentration: float) -> FloatArray:
        concentration = np.exp(log_concentration)

        def of_mean(mean: float) -> FloatArray:
            return _beta_binomial(size, mean * concentration, (1 - mean) * concentration)

        def too_right(mean: float) -> float:
            mixed_S = of_mean(mean)[1:-1]
            return float(mixed_S @ np.arange(1, size) / mixed_S.sum()) / size - observed.right

        return of_mean(_root(too_right, *_MEANS))

    def too_mixed(log_concentration: float) -> float:
        return float(of_concentration(log_concentration)[1:-1].sum()) - observed.mixed

    return of_concentration(_root(too_mixed, *np.log(_CONCENTRATIONS)))


def _root(rising: Callable[[float], float], low: float, high: float, tolerance: float = 1e-4) -> float:
    """Where a rising function is 0, or the end that is nearer to it."""
    if rising(low) >= 0:
        return low
    return high if rising(high) <= 0 else float(brentq(rising, low, high, xtol=tolerance))


def _beta_binomial(size: int, a: float, b: float) -> FloatArray:
    s: npt.NDArray[np.int64] = np.arange(size + 1)
    log_choose = gammaln(size + 1) - gammaln(s + 1) - gammaln(size - s + 1)
    return np.asarray(np.exp(log_choose + betaln(s + a, size - s + b) - betaln(a, b)))
