"""Our loss is verl's; every other loss is verl's function."""

import pytest
import torch
from torch import Tensor

from qae.embedded.losses import DapoLoss, VerlLoss, make_policy_loss
from qae.embedded.sections import LOSS_MODES, Actor
from qae.tiny.config import TinyConfig
from tests.support.configs import tiny_mapping

pytestmark = pytest.mark.slow

GROUP = 16


def actor(**changes: object) -> Actor:
    dotlist = [f"actor_rollout_ref.actor.{key}={value}" for key, value in changes.items()]
    return TinyConfig.from_mapping(tiny_mapping(*dotlist)).actor


def mini_batch(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows, tokens = 4 * GROUP, 24
    old = -2 * torch.rand(rows, tokens, generator=generator)
    new = old + 0.4 * torch.randn(rows, tokens, generator=generator)
    new[0, 0], new[1, 0] = old[0, 0] + 3.5, old[1, 0] - 30  # beyond the dual clip and beyond verl's clamp
    advantage = torch.randn(rows, 1, generator=generator).expand(-1, tokens)
    advantage = torch.where(torch.rand(rows, 1, generator=generator) < 0.5, torch.zeros(()), advantage)
    advantage[0], advantage[1] = -2.0, 1.5
    length = torch.randint(1, tokens + 1, (rows, 1), generator=generator)
    return old, new.requires_grad_(), advantage, (torch.arange(tokens) < length).float()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("low", "high", "dual"), [(0.2, 0.28, 10.0), (0.2, 0.2, 3.0), (1.0, 1e6, 1e6)])
def test_dapo_loss_its_gradient_and_its_metrics_equal_verls(seed: int, low: float, high: float, dual: float) -> None:
    settings = actor(clip_ratio_low=low, clip_ratio_high=high, clip_ratio_c=dual)
    old, new, advantage, mask = mini_batch(seed)
    ours, our_metrics = DapoLoss(low, high, dual)(old, new, advantage, mask)
    verls, verl_metrics = VerlLoss(settings, GROUP)(old, new, advantage, mask)
    assert ours.item() == verls.item()
    (our_gradient,) = torch.autograd.grad(ours, new)
    (verl_gradient,) = torch.autograd.grad(verls, new)
    assert torch.equal(our_gradient, verl_gradient)
    assert {name: our_metrics[name] for name in verl_metrics} == pytest.approx(verl_metrics, abs=1e-7)
    assert our_metrics["actor/pg_clipfrac"] > 0 or high > 1


@pytest.mark.parametrize("mode", LOSS_MODES)
def test_every_loss_mode_gives_a_finite_gradient_where_the_mask_is_set(mode: str) -> None:
    beta = {"policy_loss.dro_beta": 0.1} if mode == "dro" else {}
    settings = actor(**{"policy_loss.loss_mode": mode, "clip_ratio_low": 0.2, "clip_ratio_high": 0.28, **beta})
    old, new, advantage, mask = mini_batch(0)
    loss, logged = make_policy_loss(settings, GROUP)(old, new, advantage, mask)
    (gradient,) = torch.autograd.grad(loss, new)
    assert torch.isfinite(gradient).all()
    assert gradient[mask.bool()].abs().sum() > 0
    assert (gradient[~mask.bool()] == 0).all()
    assert "actor/ppo_kl" in logged or mode == "gpg"  # verl logs nothing of this one


def test_clip_higher_lets_a_rising_token_rise_further() -> None:
    old = torch.zeros(1, 1)
    advantage = mask = torch.ones(1, 1)
    gradients = {}
    for high in (0.2, 0.28):
        new = torch.full((1, 1), 0.22, requires_grad=True)  # ratio 1.246
        loss, _ = DapoLoss(0.2, high, 10.0)(old, new, advantage, mask)
        (gradients[high],) = torch.autograd.grad(loss, new)
    assert gradients[0.2].item() == 0
    assert gradients[0.28].item() < 0


def test_plain_loss_does_not_need_verl_and_others_say_that_they_do() -> None:
    assert not actor().needs_verl
    assert actor(**{"policy_loss.loss_mode": "kl_cov"}).needs_verl
    assert actor(loss_agg_mode="seq-mean-token-mean").needs_verl
