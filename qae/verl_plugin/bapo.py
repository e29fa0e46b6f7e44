"""verl's policy loss ``bapo``: its plain loss under the clip bounds of `qae.updates.bapo`."""

import copy
from typing import Any

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import register_policy_loss
from verl.workers.config import ActorConfig

from qae.updates.bapo import clip_bounds
from qae.updates.clip import LARGEST_LOG_RATIO
from qae.verl_plugin import clip

NAME = "bapo"


@register_policy_loss(NAME)
def compute_policy_loss_bapo(
    old_log_prob: Tensor,
    log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: ActorConfig | None = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """As verl 0.9.1 asks for it (verl/trainer/ppo/core_algos.py, register_policy_loss).

    The bounds start at 1 - ``clip_ratio_low`` and 1 + ``clip_ratio_high``.

    Returns:
        the loss, what verl logs of it, and the counts of `qae.verl_plugin.clip`.
    """
    assert config is not None  # noqa: S101  # verl's own losses say so, too
    log_ratio = (log_prob.detach() - old_log_prob).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    low, high = clip_bounds(
        log_ratio.exp(),
        advantages,
        response_mask,
        1 - config.clip_ratio_low,
        1 + config.clip_ratio_high,
        _over_ranks,
    )
    adapted = copy.copy(config)
    adapted.__dict__.update(clip_ratio_low=1 - low, clip_ratio_high=high - 1)  # its fields are frozen
    return clip.vanilla(old_log_prob, log_prob, advantages, response_mask, loss_agg_mode, adapted, rollout_is_weights)


def _over_ranks(sums: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(sums)
    return sums
