"""verl's advantage estimator ``qae``: the whole advantage axis of `qae.advantage` behind verl's signature."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from qae.advantage import group_index, outcome_advantages
from qae.balance import with_k_of_batch
from qae.config import AdvantageConfig, QuantileOn
from qae.controller import KEY as CONTROLLER_KEY
from qae.controller import Balance, EntropyBand
from qae.errors import ConfigError

NAME = "qae"


@dataclass(frozen=True)
class Step:
    """What the trainer knows of a step and verl does not hand to an estimator.

    Attributes:
        unshaped_B: scores before shaping, float (B,), for ``algorithm.quantile_on=accuracy``.
        quantile_k: K of the step, where an entropy band adapts it.
    """

    unshaped_B: Tensor | None = None
    quantile_k: float | None = None


_step: ContextVar[Step] = ContextVar("step", default=Step())  # noqa: B039  # frozen


@contextmanager
def during(step: Step) -> Iterator[None]:
    """Give the estimator what it needs to know of a step, for the time of its call."""
    token = _step.set(step)
    try:
        yield
    finally:
        _step.reset(token)


@register_adv_est(NAME)
def compute_qae_advantage(
    token_level_rewards: Tensor,
    response_mask: Tensor,
    index: npt.NDArray[np.object_],
    config: Mapping[str, object] | None = None,
    **_: object,
) -> tuple[Tensor, Tensor]:
    """Advantages of a batch as verl 0.9.1 asks for them (verl/trainer/ppo/core_algos.py, register_adv_est).

    Padding rows (mask all 0) carry uids of their own, so they touch no real group.

    Args:
        token_level_rewards: float (B, T); a response's score is its sum.
        response_mask: (B, T).
        index: uid of each response's prompt, object (B,).
        config: verl's `algorithm` section; `quantile_k` absent or outside (0, 1) is the mean, as verl's ``grpo``.

    Returns:
        advantages and returns, float (B, T).

    Raises:
        ConfigError: a value that the axis does not have; quantile_on=accuracy or an entropy band outside trainer
            mode qae_sync.
    """
    rule = AdvantageConfig.from_mapping(cast("Mapping[str, object]", config if config is not None else {}))
    step = _step.get()
    needs_trainer = "it needs trainer.v1.trainer_mode=qae_sync; set it"
    if rule.uses_quantile and rule.quantile_on is QuantileOn.ACCURACY and step.unshaped_B is None:
        raise ConfigError("algorithm.quantile_on", rule.quantile_on.value, needs_trainer)
    if isinstance(rule.controller, EntropyBand):
        if step.quantile_k is None:
            raise ConfigError(CONTROLLER_KEY, rule.controller, needs_trainer)
        rule = replace(rule, quantile_k=step.quantile_k)
    if isinstance(rule.controller, Balance):
        scores_B, tokens_B = token_level_rewards.sum(-1), response_mask.sum(-1)
        rule = with_k_of_batch(rule, scores_B, group_index(index).to(scores_B.device), tokens_B, step.unshaped_B)
    return outcome_advantages(token_level_rewards, response_mask, index, rule, step.unshaped_B)
