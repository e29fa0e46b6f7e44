"""Clips by the sign of the advantage out of verl's workers, for the policy losses that clip a probability ratio.

verl's losses report a clip fraction over all tokens. They are wrapped under their own names, so that loss, gradient,
configuration and run ids stay; what the clip binds is counted beside them, from log-probabilities that are there.

verl takes the mean of what a loss logs over micro-batches and ranks (verl/utils/metric/utils.py, `aggregate_dp`). A
mean of shares would weigh a micro-batch of few tokens as much as one of many, so the losses log counts: their means
over the parts of an update have the ratios of their sums. `reduce_metrics`, by which verl's trainers reduce what its
workers logged, makes shares and drift of each update out of them, and takes the mean over updates, as the embedded
trainers do.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import get_policy_loss_fn, register_policy_loss
from verl.utils import metric
from verl.workers.config import ActorConfig

from qae.metrics import mean_over_updates
from qae.updates.clip import LARGEST_LOG_RATIO, ClipCounts, clip_counts

_PREFIX = "actor/qae_clip_"  # verl puts "actor/" before names without it
_LARGEST_LOG_RATIO_GSPO = 10.0  # verl's
_verls_reduce_metrics = metric.reduce_metrics

Loss: TypeAlias = Callable[..., tuple[Tensor, dict[str, Any]]]
Ratio: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def counting(loss: Loss, ratio_of: Ratio, *, of_responses: bool = False) -> Loss:
    """A policy loss that also logs `ClipCounts` of its clip.

    Args:
        loss: one with the arguments of verl's (verl/trainer/ppo/core_algos.py, register_policy_loss), whose ratio is
            clipped at 1 - ``clip_ratio_low`` and 1 + ``clip_ratio_high``.
        ratio_of: the ratio that it clips, float (B, T), of the log-ratios of tokens and the mask, both (B, T).
        of_responses: whether the clip binds all tokens of a response or none; then no drift comes of it.

    Returns:
        the loss; its value, gradient and random numbers are those of `loss`. Under another configuration than an
        actor's it logs nothing more: distillation takes these losses for advantages of its own.
    """
    signature = inspect.signature(loss)

    @functools.wraps(loss)
    def counted(*args: Any, **named: Any) -> tuple[Tensor, dict[str, Any]]:  # noqa: ANN401  # verl's signature
        value, logged = loss(*args, **named)
        given = signature.bind(*args, **named).arguments
        config = given.get("config")
        if isinstance(config, ActorConfig):
            mask, advantages = given["response_mask"], given["advantages"]
            with torch.no_grad():
                ratio = ratio_of(given["log_prob"] - given["old_log_prob"], mask)
                counts = clip_counts(_bound(ratio, advantages, config), advantages, mask)
            counts = counts._replace(held_back=None) if of_responses else counts
            logged |= {_PREFIX + name: count for name, count in counts._asdict().items() if count is not None}
        return value, logged

    return counted


def by_sign(logged: Mapping[str, float]) -> dict[str, float]:
    """Shares and drift, under `qae.metrics`' names, of what a loss logged; empty for a loss that does not count."""
    counts = {name: logged[_PREFIX + name] for name in ClipCounts._fields if _PREFIX + name in logged}
    return ClipCounts(**counts).by_sign() if counts else {}


def reduce_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """Verl's (verl/utils/metric/utils.py), with `qae.metrics`' names in place of counts.

    Args:
        metrics: lists with a value per update, or verl's `Metric` with those of all micro-batches of the step; then
            shares and drift are those of all tokens of the step.
    """
    names = [name for name in ClipCounts._fields if _PREFIX + name in metrics]
    columns = [metrics.pop(_PREFIX + name) for name in names]
    reduced: dict[str, Any] = _verls_reduce_metrics(metrics)
    per_update = (column if isinstance(column, list) else [column.aggregate()] for column in columns)
    counts = (ClipCounts(**dict(zip(names, row, strict=True))) for row in zip(*per_update, strict=True))
    return reduced | mean_over_updates(update.by_sign() for update in counts)


def _bound(ratio_B_T: Tensor, advantages: Tensor, config: ActorConfig) -> Tensor:
    """Where the clipped surrogate is the larger loss, rounded as verl's losses round it."""
    low, high = (config.clip_ratio if own is None else own for own in (config.clip_ratio_low, config.clip_ratio_high))
    return -advantages * ratio_B_T.clamp(1 - low, 1 + high) > -advantages * ratio_B_T


def _of_tokens_within_limits(log_ratio: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG001  # a `Ratio`
    return log_ratio.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()


def _of_tokens(log_ratio: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG001  # a `Ratio`
    return log_ratio.exp()


def _of_responses(log_ratio: Tensor, mask: Tensor) -> Tensor:
    """GSPO's: every token has the geometric mean over its response."""
    mean_B_1 = ((log_ratio * mask).sum(-1) / mask.sum(-1).clamp(min=1)).unsqueeze(-1)
    return mean_B_1.clamp(max=_LARGEST_LOG_RATIO_GSPO).exp().expand_as(log_ratio)


def _register(name: str, ratio_of: Ratio, *, of_responses: bool = False) -> Loss:
    counted = counting(get_policy_loss_fn(name), ratio_of, of_responses=of_responses)
    register_policy_loss(name)(counted)
    return counted


vanilla = _register("vanilla", _of_tokens_within_limits)  # BAPO is it under other bounds: `qae.verl_plugin.bapo`
_register("clip_cov", _of_tokens)  # the tokens that it draws by covariance are not counted
_register("gspo", _of_responses, of_responses=True)

# Before verl's trainers import it by name: verl loads its plug-ins before any of its modules.
metric.reduce_metrics = reduce_metrics
