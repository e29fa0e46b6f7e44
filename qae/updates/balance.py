"""`controller=balance`: K of a batch so that the mean advantage over its tokens is nearest to a target."""

from dataclasses import replace

import torch
from torch import Tensor

from qae import metrics
from qae.advantage import group_advantages
from qae.config import AdvantageConfig
from qae.controller import Balance
from qae.diagnostics import advantage_token_mean


def with_k_of_batch(
    config: AdvantageConfig,
    scores_B: Tensor,
    group_B: Tensor,
    tokens_B: Tensor,
    unshaped_B: Tensor | None = None,
) -> AdvantageConfig:
    """The rule for this batch; itself where its controller is no `Balance`.

    Of a group of G responses the K-quantile is one of G scores, so K = (j + 1/2)/G for j = 0 … G - 1 are all that
    differ. Of those within the bounds the one is taken whose mean advantage over tokens is nearest to the target; of
    equals the lowest. Responses without a token, such as padding rows, weigh nothing.

    Args:
        config: the rule.
        scores_B: as `group_advantages` takes them, float (B,).
        group_B: group labels, int64 (B,); the largest group decides which K are tried.
        tokens_B: tokens of each response, (B,).
        unshaped_B: see `group_advantages`.
    """
    controller = config.controller
    if not isinstance(controller, Balance):
        return config

    def distance(k: float) -> float:
        advantage_B = group_advantages(scores_B, group_B, replace(config, quantile_k=k), unshaped_B).advantage_B
        mean = advantage_token_mean(advantage_B, tokens_B).get(metrics.ADVANTAGE_TOKEN_MEAN.name, 0.0)
        return abs(mean - controller.target)

    size = int(torch.unique(group_B, return_counts=True)[1].max())
    tried = [min(max((rank + 0.5) / size, controller.k_low), controller.k_high) for rank in range(size)]
    return replace(config, quantile_k=min(dict.fromkeys(tried), key=distance))
