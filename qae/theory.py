"""The paper's analytic statements about two-valued rewards. No torch.

p is a prompt's success rate, K the quantile; all functions are vectorised over p.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def grpo_weight(p: npt.ArrayLike) -> FloatArray:
    """GRPO's weight on both right and wrong responses, sqrt(p (1 - p)); eq. 5, Figs. 4b and 4c."""
    p_ = _rates(p)
    return np.sqrt(p_ * (1 - p_))


def quantile_positive_weight(p: npt.ArrayLike, k: float) -> FloatArray:
    """QAE's weight on right responses, 1{p <= 1 - K} sqrt(p / (1 - p)); Prop. 4.1, Fig. 4b."""
    p_ = _rates(p)
    return np.where(is_hard(p_, k), _odds_root(p_), 0.0)


def quantile_negative_weight(p: npt.ArrayLike, k: float) -> FloatArray:
    """QAE's weight on wrong responses, 1{p > 1 - K} sqrt((1 - p) / p); Prop. 4.1, Fig. 4c."""
    p_ = _rates(p)
    return np.where(is_hard(p_, k), 0.0, _odds_root(1 - p_))


def is_hard(p: npt.ArrayLike, k: float) -> npt.NDArray[np.bool_]:
    """Whether the K-quantile of a prompt's rewards is 0: p <= 1 - K, safe against rounding of 1 - K; eq. 4."""
    return np.asarray(1 - _rates(p) >= _quantile(k) - 1e-9)


def zero_advantage_share(p: npt.ArrayLike, k: float) -> FloatArray:
    """Share of a prompt's responses with advantage 0 under QAE: the wrong ones if it is hard, else the right ones."""
    p_ = _rates(p)
    return np.where(is_hard(p_, k), 1 - p_, p_)


def entropy_change(probability: npt.ArrayLike, reward: npt.ArrayLike, baseline: float, step_size: float = 1.0) -> float:
    """First-order change of the entropy of a softmax policy, -eta Cov(log pi, pi A) with A = r - b.

    The identity of sec. 4.3 (after Cui et al., arXiv 2505.22617) for a bandit whose logits move by eta pi A. It
    is linear and, for a policy that is not uniform, increasing in b. It is a statement about that step: under
    the exact expected softmax gradient a constant b cancels.

    Args:
        probability: pi over responses, all above 0, sums to 1.
        reward: r of each response.
        baseline: b.
        step_size: eta.

    Returns:
        nats.

    Raises:
        ValueError: probabilities that are not positive or do not sum to 1, or rewards of another shape.
    """
    pi, reward_ = np.asarray(probability, dtype=np.float64), np.asarray(reward, dtype=np.float64)
    if not (pi > 0).all() or not np.isclose(pi.sum(), 1):
        raise ValueError("probability must be positive and sum to 1")
    if pi.shape != reward_.shape:
        raise ValueError(f"probability is {pi.shape} but reward is {reward_.shape}")
    log_pi = np.log(pi)
    moved = pi * (reward_ - baseline)
    covariance = (pi * log_pi * moved).sum() - (pi * log_pi).sum() * (pi * moved).sum()
    return float(-step_size * covariance)


def _rates(p: npt.ArrayLike) -> FloatArray:
    p_ = np.asarray(p, dtype=np.float64)
    if not ((p_ >= 0) & (p_ <= 1)).all():
        raise ValueError("success rates must lie between 0 and 1")
    return p_


def _quantile(k: float) -> float:
    if not 0 < k < 1:
        raise ValueError(f"K={k} is not a quantile; give 0 < K < 1")
    return k


def _odds_root(p: FloatArray) -> FloatArray:
    """sqrt(p / (1 - p)), infinite at 1."""
    with np.errstate(divide="ignore"):
        return np.sqrt(p / (1 - p))
