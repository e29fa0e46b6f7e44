"""verl's advantage estimator ``qae``: the whole advantage axis of `qae.advantage` behind verl's signature."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast

import numpy as np
import numpy.typing as npt
from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from qae.advantage import outcome_advantages
from qae.config import AdvantageConfig, QuantileOn
from qae.errors import ConfigError

NAME = "qae"
# verl hands an estimator the rewards only; the trainer puts the scores before shaping here for the time of the call.
_unshaped: ContextVar[Tensor | None] = ContextVar("unshaped", default=None)


@contextmanager
def unshaped_scores(scores_B: Tensor | None) -> Iterator[None]:
    """Give the estimator the scores before shaping, float (B,), for ``algorithm.quantile_on=accuracy``."""
    token = _unshaped.set(scores_B)
    try:
        yield
    finally:
        _unshaped.reset(token)


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
        ConfigError: a value that the axis does not have, or quantile_on=accuracy outside trainer mode qae_sync.
    """
    rule = AdvantageConfig.from_mapping(cast("Mapping[str, object]", config if config is not None else {}))
    unshaped_B = _unshaped.get()
    if rule.uses_quantile and rule.quantile_on is QuantileOn.ACCURACY and unshaped_B is None:
        raise ConfigError(
            "algorithm.quantile_on", rule.quantile_on.value, "it needs trainer.v1.trainer_mode=qae_sync; set it"
        )
    return outcome_advantages(token_level_rewards, response_mask, index, rule, unshaped_B)
