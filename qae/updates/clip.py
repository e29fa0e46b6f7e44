"""What the clip binds, by the sign of the advantage, and the drift of entropy that it predicts.

The embedded trainers and verl's actor count the same; docs/why_entropy_explodes.md says why it is counted.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qae import metrics
from qae.diagnostics import signs

LARGEST_LOG_RATIO = 20.0  # verl clamps a token's log-ratio to it, up and down (verl/trainer/ppo/core_algos.py)


class ClipCounts(NamedTuple):
    """Sums over the tokens of a loss. Counts of parts of a batch add up, and so do their means over equally many parts.

    Attributes:
        tokens: tokens of the loss.
        positive: those with positive advantage.
        positive_bound: those of them that the clip binds.
        negative: tokens with negative advantage.
        negative_bound: those of them that the clip binds.
        held_back: sum of the advantages of all tokens that the clip binds; None where it binds whole responses, whose
            drift says nothing about entropy.
    """

    tokens: float
    positive: float
    positive_bound: float
    negative: float
    negative_bound: float
    held_back: float | None = None

    def by_sign(self) -> dict[str, float]:
        """Share of clipped tokens among those of positive and among those of negative advantage; the clip's drift.

        Returns:
            the share of each class that has a token, and the drift where it is known; empty without any token.
        """
        if not self.tokens:
            return {}
        classes = (
            (metrics.CLIP_FRACTION_POSITIVE, self.positive, self.positive_bound),
            (metrics.CLIP_FRACTION_NEGATIVE, self.negative, self.negative_bound),
        )
        shares = {metric.name: bound / count for metric, count, bound in classes if count}
        if self.held_back is None:
            return shares
        return {**shares, metrics.CLIP_DRIFT.name: -self.held_back / self.tokens}


def clip_counts(clipped_B_T: Tensor, advantage_B_T: Tensor, mask_B_T: Tensor) -> ClipCounts:
    """Count the tokens of a loss.

    Args:
        clipped_B_T: where the clipped surrogate is the larger loss, bool (B, T); ignored where the mask is 0.
        advantage_B_T: float (B, T).
        mask_B_T: 1 for tokens of the loss, else 0, (B, T).
    """
    taken_B_T = mask_B_T.bool()
    bound_B_T = taken_B_T & clipped_B_T
    positive_B_T, negative_B_T, _ = signs(advantage_B_T)
    summed = (
        *(taken_B_T, positive_B_T & taken_B_T, positive_B_T & bound_B_T),
        *(negative_B_T & taken_B_T, negative_B_T & bound_B_T, advantage_B_T * bound_B_T),
    )
    # One reading of all sums: each waits for the device.
    return ClipCounts(*torch.stack([values_B_T.sum().double() for values_B_T in summed]).tolist())
