"""How success rates are spread over the groups of a batch, inferred from the shares that a run with the mean records.

A run records no histogram of its groups' success counts. It records of every batch how many of the groups have both
right and wrong responses, the share of right responses in these, and the share of them that are hard at K = 0.5
(p <= 1/2). `infer` finds a distribution that has all three; what any other K would do follows from it (eq. 4 of the
paper, `qae.theory`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betaln, gammaln

from qae import theory
from qae.theory import FloatArray

_HALF = 0.5
# Where to look for the concentration a + b of the beta distribution and for the tilt.
_CONCENTRATIONS = (1e-3, 1e4)
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
        return np.linspace(0, 1, len(self.share_S))

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

    The beta-binomial distribution has the observed share of right responses as its mean and as many groups without
    both kinds as were sampled. Of all distributions over s = 1 ... G - 1 with the observed `right` and `hard`, the
    nearest by Kullback-Leibler divergence is that one times exp(a s), scaled in its hard and its easy part (Csiszár
    1975, I-projection); a is found by bisection. Where no distribution has both, the nearest mean is taken.

    Raises:
        ValueError: shares outside [0, 1], no mixed group, or groups of less than two responses.
    """
    _check(observed)
    size = observed.group_size
    count_S = np.arange(1, size)
    weight_S = _beta_binomial(size, observed.right, observed.mixed)[1:-1]
    hard_S = np.asarray(2 * count_S <= size)
    target = observed.right * size

    def tilted(slope: float) -> FloatArray:
        share_S = np.zeros(size - 1)
        for part_S, mass in ((hard_S, observed.hard), (~hard_S, 1 - observed.hard)):
            if part_S.any():
                log_S = np.log(weight_S[part_S]) + slope * count_S[part_S]
                exp_S = np.exp(log_S - log_S.max())
                share_S[part_S] = mass * exp_S / exp_S.sum()
        return share_S / share_S.sum()

    def excess(slope: float) -> float:
        return float(tilted(slope) @ count_S) - target

    if excess(-_STEEPEST) >= 0:
        slope = -_STEEPEST
    elif excess(_STEEPEST) <= 0:
        slope = _STEEPEST
    else:
        slope = float(brentq(excess, -_STEEPEST, _STEEPEST))
    # Groups without both kinds have advantage 0 under every K; that all of them are wrong stands for either.
    return SuccessRates(np.array([1 - observed.trained, *(observed.trained * tilted(slope)), 0.0]))


def _check(observed: Observed) -> None:
    shares = (observed.mixed, observed.trained, observed.right, observed.hard)
    if not all(0 <= share <= 1 for share in shares) or observed.mixed == 0 or observed.trained == 0:
        raise ValueError(f"shares must lie between 0 and 1, and some group be mixed; got {observed}")
    if observed.group_size < 2:
        raise ValueError(f"a group of {observed.group_size} has no success rate between 0 and 1")


def _beta_binomial(size: int, mean: float, mixed: float) -> FloatArray:
    """Shares of s = 0 ... size; the concentration is the one that leaves `mixed` between the ends."""
    mean = min(max(mean, 1e-3), 1 - 1e-3)

    def shares(log_concentration: float) -> FloatArray:
        a, b = mean * np.exp(log_concentration), (1 - mean) * np.exp(log_concentration)
        return _beta_binomial_pmf(size, a, b)

    def excess(log_concentration: float) -> float:
        return float(shares(log_concentration)[1:-1].sum()) - mixed

    low, high = np.log(_CONCENTRATIONS)
    if excess(low) >= 0:
        return shares(low)
    return shares(high) if excess(high) <= 0 else shares(float(brentq(excess, low, high)))


def _beta_binomial_pmf(size: int, a: float, b: float) -> FloatArray:
    s: npt.NDArray[np.int64] = np.arange(size + 1)
    log_choose = gammaln(size + 1) - gammaln(s + 1) - gammaln(size - s + 1)
    return np.asarray(np.exp(log_choose + betaln(s + a, size - s + b) - betaln(a, b)))
