"""verl's advantage estimator ``qae``: the whole advantage axis of `qae.advantage` behind verl's signature."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from qae.advantage import group_advantages, group_index
from qae.config import AdvantageConfig, QuantileOn
from qae.controller import KEY as CONTROLLER_KEY
from qae.controller import EntropyBand
from qae.errors import ConfigError
from qae.updates.balance import with_k_of_batch
from qae.verl_plugin.sessions import Sessions

NAME = "qae"


@dataclass(frozen=True)
class Step:
    """What the trainer knows of a step and verl does not hand to an estimator.

    Attributes:
        unshaped_B: scores before shaping, float (B,), for ``algorithm.quantile_on=accuracy``.
        quantile_k: K of the step, where an entropy band adapts it.
        sessions: which outputs belong together; None: each is a response of its own.
    """

    unshaped_B: Tensor | None = None
    quantile_k: float | None = None
    sessions: Sessions | None = None


_step: ContextVar[Step] = ContextVar("step", default=Step())  # noqa: B039  # frozen


@contextmanager
def during(step: Step) -> Iterator[None]:
    """Give the estimator what it needs to know of a step, for the time of its call."""
    token = _step.set(step)
    try:
        yield
    finally:
        _step.reset(token)


def during_sessions(sessions: Sessions) -> AbstractContextManager[None]:
    """Tell the estimator which outputs belong together, beside what it knows already."""
    return during(replace(_step.get(), sessions=sessions))


@register_adv_est(NAME)
def compute_qae_advantage(
    token_level_rewards: Tensor,
    response_mask: Tensor,
    index: npt.NDArray[np.object_],
    config: Mapping[str, object] | None = None,
    **_: object,
) -> tuple[Tensor, Tensor]:
    """Advantages of a batch as verl 0.9.1 asks for them (verl/trainer/ppo/core_algos.py, register_adv_est).

    The statistics of a group are those of its sessions: a session's score is its last output's, its tokens are those of
    all its outputs, and all of them get its advantage (`qae.verl_plugin.sessions`). As under verl's ``grpo`` that is 0
    where no token of the last output counts. Padding rows (mask all 0) carry uids of their own, so they touch no real
    group.

    Args:
        token_level_rewards: float (B, T); an output's score is its sum.
        response_mask: (B, T).
        index: uid of each response's prompt, object (B,).
        config: verl's `algorithm` section; `quantile_k` absent or outside (0, 1) is the mean, as verl's ``grpo``.

    Returns:
        advantages and returns, float (B, T).

    Raises:
        ConfigError: a value that the axis does not have; quantile_on=accuracy or an entropy band outside the
            toolkit's trainer modes.
    """
    rule = AdvantageConfig.from_mapping(config if config is not None else {})
    step = _step.get()
    needs_trainer = "it needs a trainer of the toolkit; set trainer.v1.trainer_mode=qae_sync or another qae_ mode"
    if rule.uses_quantile and rule.quantile_on is QuantileOn.ACCURACY and step.unshaped_B is None:
        raise ConfigError("algorithm.quantile_on", rule.quantile_on.value, needs_trainer)
    if isinstance(rule.controller, EntropyBand):
        if step.quantile_k is None:
            raise ConfigError(CONTROLLER_KEY, rule.controller, needs_trainer)
        rule = replace(rule, quantile_k=step.quantile_k)
    sessions = step.sessions or Sessions.of_responses(len(index))
    last_S = sessions.last_S.to(response_mask.device)
    with torch.no_grad():
        score_S = token_level_rewards.index_select(0, last_S).sum(-1)
        token_S = sessions.totals(response_mask.sum(-1))
        group_S = group_index(index[sessions.last_S.numpy()]).to(score_S.device)
        unshaped_S = None if step.unshaped_B is None else step.unshaped_B[sessions.last_S]
        rule = with_k_of_batch(rule, score_S, group_S, token_S, unshaped_S)
        advantage_S = group_advantages(score_S, group_S, rule, unshaped_S, token_S).advantage_B
        counts_S = response_mask.index_select(0, last_S).any(-1)
        advantage_B = (advantage_S * counts_S)[sessions.session_B.to(score_S.device)]
        # In place on the converted mask, as `qae.advantage.outcome_advantages` does.
        advantage_B_T = response_mask.to(score_S.dtype, copy=True).mul_(advantage_B.unsqueeze(-1))
    return advantage_B_T, advantage_B_T
