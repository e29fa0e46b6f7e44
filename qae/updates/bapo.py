"""BAPO's clip (Xi et al., arXiv 2510.18927): its bounds give way until tokens pushed up weigh as much as the others."""

from collections.abc import Callable

import torch
from torch import Tensor

# Ranges of the paper; the step and the order of the search are those of the authors' code (recipe/bapo/policy_loss.py).
HIGHEST_LOW, HIGHEST_HIGH, STEP = 0.9, 3.0, 0.05


def clip_bounds(
    ratio_B_T: Tensor,
    advantage_B_T: Tensor,
    mask_B_T: Tensor,
    low: float,
    high: float,
    over_ranks: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> tuple[float, float]:
    """The bounds of the probability ratio for one mini-batch.

    A token with positive advantage weighs A min(ratio, high), one with negative advantage |A| max(ratio, low). While
    the positive ones weigh less than the negative ones, first the lower bound rises, up to `HIGHEST_LOW`, then the
    upper one, up to `HIGHEST_HIGH`.

    Args:
        ratio_B_T: probability over that of the policy that sampled, float (B, T).
        advantage_B_T: float (B, T).
        mask_B_T: 1 for response tokens, (B, T).
        low: where the lower bound starts.
        high: where the upper bound starts.
        over_ranks: adds the two weights up over all processes that share the update.
    """
    up_B_T = (advantage_B_T * mask_B_T).clamp(min=0)
    down_B_T = (-advantage_B_T * mask_B_T).clamp(min=0)

    def is_balanced() -> bool:
        weights = torch.stack([(up_B_T * ratio_B_T.clamp(max=high)).sum(), (down_B_T * ratio_B_T.clamp(min=low)).sum()])
        positive, negative = over_ranks(weights).tolist()
        return bool(positive >= negative)

    while low < HIGHEST_LOW and not is_balanced():
        low = min(low + STEP, HIGHEST_LOW)
    while high < HIGHEST_HIGH and not is_balanced():
        high = min(high + STEP, HIGHEST_HIGH)
    return low, high
