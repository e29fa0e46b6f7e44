"""`controller=balance`: no other K of the group's has a mean advantage over tokens that is nearer to the target."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from qae import metrics
from qae.advantage import group_advantages
from qae.config import AdvantageConfig
from qae.controller import Balance
from qae.diagnostics import advantage_token_mean
from qae.updates.balance import with_k_of_batch

SIZE = 8
RULE = AdvantageConfig(controller=Balance(0.0, 0.01, 0.99))


def batch(seed: int, groups: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, groups and lengths; wrong responses are longer."""
    generator = torch.Generator().manual_seed(seed)
    rate_P = torch.rand(groups, generator=generator)
    score_B = (torch.rand(groups, SIZE, generator=generator) < rate_P[:, None]).float().flatten()
    tokens_B = torch.randint(8, 13, (groups * SIZE,), generator=generator) + 4 * (score_B == 0)
    return score_B, torch.arange(groups).repeat_interleave(SIZE), tokens_B


def balance_at(k: float, score_B: Tensor, group_B: Tensor, tokens_B: Tensor) -> float:
    advantage_B = group_advantages(score_B, group_B, AdvantageConfig(quantile_k=k)).advantage_B
    return advantage_token_mean(advantage_B, tokens_B)[metrics.ADVANTAGE_TOKEN_MEAN.name]


@pytest.mark.slow
@given(st.integers(0, 10_000), st.sampled_from([-0.3, 0.0, 0.2]))
def test_no_other_k_is_nearer_to_the_target(seed: int, target: float) -> None:
    given_batch = batch(seed)
    found = with_k_of_batch(replace(RULE, controller=Balance(target, 0.01, 0.99)), *given_batch)
    distances = {k: abs(balance_at(k, *given_batch) - target) for k in torch.linspace(0.005, 0.995, 199).tolist()}
    assert abs(balance_at(found.quantile_k, *given_batch) - target) <= min(distances.values()) + 1e-9


@pytest.mark.slow
@given(st.integers(0, 10_000))
def test_a_higher_target_never_has_a_higher_k(seed: int) -> None:
    ks = [
        with_k_of_batch(replace(RULE, controller=Balance(target, 0.01, 0.99)), *batch(seed)).quantile_k
        for target in (-2.0, -0.2, 0.0, 0.2, 2.0)
    ]
    assert ks == sorted(ks, reverse=True)


def test_the_advantages_are_those_of_the_chosen_k() -> None:
    score_B, group_B, tokens_B = batch(3)
    found = with_k_of_batch(RULE, score_B, group_B, tokens_B)
    plain = AdvantageConfig(quantile_k=found.quantile_k)
    assert torch.equal(
        group_advantages(score_B, group_B, found).advantage_B, group_advantages(score_B, group_B, plain).advantage_B
    )
    assert found.adapted_k == found.quantile_k


def test_bounds_hold_and_other_rules_stay_as_they_are() -> None:
    assert with_k_of_batch(replace(RULE, controller=Balance(-5.0, 0.3, 0.6)), *batch(1)).quantile_k == 4.5 / SIZE
    assert with_k_of_batch(replace(RULE, controller=Balance(5.0, 0.3, 0.6)), *batch(1)).quantile_k == 0.3
    for config in (AdvantageConfig(), AdvantageConfig(quantile_k=0.4)):
        assert with_k_of_batch(config, *batch(1)) is config


def test_responses_without_a_token_weigh_nothing() -> None:
    score_B, group_B, tokens_B = batch(4)
    expected = with_k_of_batch(RULE, score_B, group_B, tokens_B)
    padded = (torch.cat([score_B, torch.zeros(5)]), torch.cat([group_B, torch.arange(100, 105)]))
    assert with_k_of_batch(RULE, *padded, torch.cat([tokens_B, torch.zeros(5)])) == expected
    silent = with_k_of_batch(RULE, score_B, group_B, torch.zeros_like(tokens_B))
    assert silent.quantile_k == pytest.approx(0.5 / SIZE)
