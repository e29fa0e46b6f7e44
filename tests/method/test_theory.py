"""The paper's analytic numbers and propositions, recomputed."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qae import theory
from qae.advantage import group_advantages
from qae.config import AdvantageConfig


def test_weights_at_the_numbers_of_fig_4() -> None:
    assert theory.quantile_positive_weight(0.6, 0.4) == pytest.approx(1.2247, abs=1e-4)
    assert theory.quantile_positive_weight(0.6001, 0.4) == 0
    assert theory.quantile_negative_weight(0.6, 0.4) == 0
    assert theory.quantile_negative_weight(0.6001, 0.4) == pytest.approx(0.8163, abs=1e-3)
    p = np.linspace(0, 1, 1001)
    assert theory.grpo_weight(p).max() == theory.grpo_weight(0.5) == 0.5


@pytest.mark.parametrize("k", [0.2, 0.4, 0.6, 0.8])
def test_weights_are_what_the_advantages_of_a_group_add_up_to(k: float) -> None:
    """P times a right response's advantage over the population standard deviation is Prop. 4.1's weight."""
    import torch

    size = 20
    for right in range(1, size):
        scores = torch.tensor([1.0] * right + [0.0] * (size - right), dtype=torch.float64)
        centred = group_advantages(
            scores, torch.zeros(size, dtype=torch.int64), AdvantageConfig(quantile_k=k, norm_by_std=False)
        ).advantage_B.numpy()
        p = right / size
        sigma = np.sqrt(p * (1 - p))
        assert centred.clip(min=0).mean() / sigma == pytest.approx(float(theory.quantile_positive_weight(p, k)))
        assert -centred.clip(max=0).mean() / sigma == pytest.approx(float(theory.quantile_negative_weight(p, k)))
        assert (centred == 0).mean() == pytest.approx(float(theory.zero_advantage_share(p, k)))


def test_sparsity_of_the_papers_group_size() -> None:
    rates = np.array([1, 9, 10, 15]) / 16
    np.testing.assert_allclose(theory.zero_advantage_share(rates, 0.4), [0.9375, 0.4375, 0.625, 0.9375])


@pytest.mark.parametrize(("size", "right", "k"), [(5, 1, 0.8), (10, 2, 0.8), (20, 4, 0.8), (10, 1, 0.9)])
def test_ties_of_p_and_1_minus_k_are_hard_despite_rounding(size: int, right: int, k: float) -> None:
    assert theory.is_hard(right / size, k)


policies = st.lists(st.floats(0.01, 1), min_size=3, max_size=8)


@pytest.mark.slow
@given(weights=policies, rewards=st.lists(st.sampled_from([0.0, 1.0]), min_size=8, max_size=8), b=st.floats(0, 1))
def test_the_entropy_identity_is_the_first_order_change_of_a_softmax(
    weights: list[float], rewards: list[float], b: float
) -> None:
    pi = np.array(weights) / np.sum(weights)
    reward = np.array(rewards[: len(pi)])
    step = 1e-6
    logits = np.log(pi) + step * pi * (reward - b)
    moved = np.exp(logits) / np.exp(logits).sum()
    change = -(moved * np.log(moved)).sum() + (pi * np.log(pi)).sum()
    assert change / step == pytest.approx(theory.entropy_change(pi, reward, b), abs=1e-4)


@given(
    weights=policies,
    rewards=st.lists(st.sampled_from([0.0, 1.0]), min_size=8, max_size=8),
    k=st.floats(0.05, 0.95),
    b=st.floats(0, 1),
)
def test_prop_4_2_the_quantile_is_extremal_among_baselines(
    weights: list[float], rewards: list[float], k: float, b: float
) -> None:
    pi = np.array(weights) / np.sum(weights)
    assume(np.ptp(pi) > 1e-3)
    reward = np.array(rewards[: len(pi)])
    hard = bool(theory.is_hard(float(np.clip((pi * reward).sum(), 0, 1)), k))
    at_quantile = theory.entropy_change(pi, reward, 0.0 if hard else 1.0)
    at_b = theory.entropy_change(pi, reward, b)
    assert at_quantile <= at_b + 1e-12 if hard else at_quantile >= at_b - 1e-12


@given(weights=policies, b=st.floats(0, 1))
def test_entropy_change_is_linear_in_the_baseline(weights: list[float], b: float) -> None:
    pi = np.array(weights) / np.sum(weights)
    reward = np.arange(len(pi)) % 2
    at_0, at_1 = theory.entropy_change(pi, reward, 0.0), theory.entropy_change(pi, reward, 1.0)
    assert theory.entropy_change(pi, reward, b) == pytest.approx((1 - b) * at_0 + b * at_1, abs=1e-12)
    slope = np.cov(np.log(pi), pi, aweights=pi, bias=True)[0, 1]  # Cov(log pi, pi) under pi
    assert at_1 - at_0 == pytest.approx(slope, abs=1e-12)


@pytest.mark.slow
@given(weights=policies, low=st.floats(0, 1), high=st.floats(0, 1))
def test_entropy_change_grows_with_the_baseline(weights: list[float], low: float, high: float) -> None:
    assume(high > low + 1e-3)
    pi = np.array(weights) / np.sum(weights)
    assume(np.ptp(pi) > 1e-2)
    reward = np.arange(len(pi)) % 2
    assert theory.entropy_change(pi, reward, high) > theory.entropy_change(pi, reward, low)


def test_values_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="K=1"):
        theory.quantile_positive_weight(0.5, 1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        theory.grpo_weight(1.5)
    with pytest.raises(ValueError, match="sum to 1"):
        theory.entropy_change([0.5, 0.6], [0, 1], 0.0)
    with pytest.raises(ValueError, match="reward is"):
        theory.entropy_change([0.5, 0.5], [0, 1, 1], 0.0)
