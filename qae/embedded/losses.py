"""Policy losses: DAPO's own and BAPO, written out; every other one is verl's registered function itself."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from qae import metrics
from qae.embedded.sections import Actor
from qae.updates.bapo import clip_bounds
from qae.updates.clip import LARGEST_LOG_RATIO, clip_counts


class PolicyLoss(Protocol):
    """A loss of one mini-batch; all arguments are float32 (responses, tokens)."""

    def __call__(
        self, old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar loss and what is logged of it (`actor/pg_clipfrac` …)."""
        ...

    def with_gradient(
        self, old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Return the loss, its gradient with respect to the log-probabilities, and what is logged."""
        ...


def make_policy_loss(actor: Actor, group_size: int) -> PolicyLoss:
    """The loss that `actor.policy_loss.loss_mode` names.

    Args:
        actor: verl's actor section.
        group_size: responses a prompt; verl's configuration wants it.

    Returns:
        `DapoLoss` for the plain loss, `BapoLoss` for BAPO, otherwise verl's function.
        Importing verl takes a quarter of a minute.
    """
    if actor.needs_verl:
        return VerlLoss(actor, group_size)
    own = BapoLoss if actor.policy_loss.loss_mode == "bapo" else DapoLoss
    return own(actor.clip_ratio_low, actor.clip_ratio_high, actor.clip_ratio_c)


class _Surrogate(NamedTuple):
    """Terms of the plain loss, a token each.

    Attributes:
        log_ratio: log of the probability ratio, within its bounds.
        unclipped: -advantage * ratio.
        per_token: the loss.
        bound: whether the clip is the larger loss.
        capped: whether the dual cap is the smaller loss.
    """

    log_ratio: Tensor
    unclipped: Tensor
    per_token: Tensor
    bound: Tensor
    capped: Tensor


class DapoLoss:
    """Clipped surrogate with decoupled clip range and dual clip, averaged over tokens.

    Equal to verl 0.9.1 `core_algos.compute_policy_loss_vanilla` with ``loss_agg_mode=token-mean`` (a test holds
    it); written out because importing verl takes longer than fifteen training steps.

    Args:
        low: epsilon_low; ratios below 1 - low give no gradient where the advantage is negative.
        high: epsilon_high; ratios above 1 + high give no gradient where the advantage is positive. DAPO's
            Clip-Higher is high > low.
        dual: for negative advantages the loss is capped at -dual * advantage.
    """

    def __init__(self, low: float, high: float, dual: float) -> None:
        self.low, self.high, self.dual = low, high, dual

    def __call__(
        self, old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss, its clip fractions (in all and by sign), drift and KL estimate, as `PolicyLoss` says."""
        terms = self._surrogate(old_log_prob, log_prob, advantages, response_mask)
        return self._mean_over_tokens(terms, advantages, response_mask)

    def with_gradient(
        self, old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """As `PolicyLoss`, in closed form.

        A token that a clip or the dual cap binds has no gradient, any other one -advantage * ratio / tokens.
        """
        terms = self._surrogate(old_log_prob, log_prob, advantages, response_mask)
        loss, logged = self._mean_over_tokens(terms, advantages, response_mask)
        free = ~(terms.bound | terms.capped) & (terms.log_ratio.abs() <= LARGEST_LOG_RATIO)
        return loss, terms.unclipped * free * (response_mask / response_mask.sum()), logged

    def _bounds(self, ratio: Tensor, advantages: Tensor, response_mask: Tensor) -> tuple[float, float]:  # noqa: ARG002
        """Lowest and highest ratio with a gradient."""
        return 1 - self.low, 1 + self.high

    def _surrogate(
        self, old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor
    ) -> _Surrogate:
        log_ratio = (log_prob - old_log_prob).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
        ratio = log_ratio.exp()
        unclipped = -advantages * ratio
        clipped = -advantages * ratio.clamp(*self._bounds(ratio.detach(), advantages, response_mask))
        pessimistic = torch.maximum(unclipped, clipped)
        cap = -advantages * self.dual
        capped = (pessimistic > cap) & (advantages < 0)
        return _Surrogate(log_ratio, unclipped, torch.where(capped, cap, pessimistic), clipped > unclipped, capped)

    @staticmethod
    def _mean_over_tokens(
        terms: _Surrogate, advantages: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        tokens = response_mask.sum()
        with torch.no_grad():
            logged = torch.stack(
                [
                    (terms.bound * response_mask).sum(),
                    (terms.capped * response_mask).sum(),
                    (-terms.log_ratio * response_mask).sum(),
                ]
            ) / (tokens + 1e-8)
            counts = clip_counts(terms.bound, advantages, response_mask)
        clip_fraction, dual_fraction, kl = logged.tolist()
        return (terms.per_token * response_mask).sum() / tokens, {
            metrics.CLIP_FRACTION.name: clip_fraction,
            metrics.CLIP_FRACTION_LOWER.name: dual_fraction,
            metrics.PPO_KL.name: kl,
            **counts.by_sign(),
        }


class BapoLoss(DapoLoss):
    """The plain loss under the clip bounds of `qae.updates.bapo`, which start at those of the configuration."""

    def _bounds(self, ratio: Tensor, advantages: Tensor, response_mask: Tensor) -> tuple[float, float]:
        return clip_bounds(ratio, advantages, response_mask, 1 - self.low, 1 + self.high)


class VerlLoss:
    """One of verl's registered policy losses (`verl.trainer.ppo.core_algos.get_policy_loss_fn`)."""

    def __init__(self, actor: Actor, group_size: int) -> None:
        from verl.trainer.ppo.core_algos import get_policy_loss_fn
        from verl.workers.config.actor import ActorConfig, PolicyLossConfig

        from qae.verl_plugin import clip

        options = actor.policy_loss
        self._function = get_policy_loss_fn(options.loss_mode)
        self._by_sign = clip.by_sign
        self._aggregation = actor.loss_agg_mode
        self._config = ActorConfig(
            strategy="fsdp",
            rollout_n=group_size,
            ppo_micro_batch_size_per_gpu=1,
            clip_ratio=actor.clip_ratio_low,
            clip_ratio_low=actor.clip_ratio_low,
            clip_ratio_high=actor.clip_ratio_high,
            clip_ratio_c=actor.clip_ratio_c,
            loss_agg_mode=actor.loss_agg_mode,
            tau_pos=actor.tau_pos,
            tau_neg=actor.tau_neg,
            policy_loss=PolicyLossConfig(
                loss_mode=options.loss_mode,
                clip_cov_ratio=options.clip_cov_ratio,
                clip_cov_lb=options.clip_cov_lb,
                clip_cov_ub=options.clip_cov_ub,
                kl_cov_ratio=options.kl_cov_ratio,
                ppo_kl_coef=options.ppo_kl_coef,
                dro_beta=options.dro_beta,
            ),
        )

    def __call__(
        self, old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Return verl's loss, what it logs and its clips by sign, as `PolicyLoss` says."""
        loss, logged = self._function(
            old_log_prob=old_log_prob,
            log_prob=log_prob,
            advantages=advantages,
            response_mask=response_mask,
            loss_agg_mode=self._aggregation,
            config=self._config,
        )
        known = (metrics.CLIP_FRACTION.name, metrics.CLIP_FRACTION_LOWER.name, metrics.PPO_KL.name)
        return loss, {**{name: float(logged[name]) for name in known if name in logged}, **self._by_sign(logged)}

    def with_gradient(
        self, old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """As `PolicyLoss`, by autograd."""
        leaf = log_prob.detach().requires_grad_()
        loss, logged = self(old_log_prob, leaf, advantages, response_mask)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), gradient, logged
