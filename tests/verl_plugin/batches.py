"""Batches as the transfer queue gives them."""

import torch
from torch import Tensor

from qae.verl_plugin.recording.outputs import Outputs


def outputs_of(score_B: Tensor, advantage_B_T: Tensor, entropy_B_T: Tensor, mask_B_T: Tensor) -> Outputs:
    """Padded fields; the score stands at the first position."""
    rewards_B_T = torch.zeros(mask_B_T.shape)
    rewards_B_T[:, 0] = score_B
    return Outputs.of(
        {
            "responses": torch.zeros(mask_B_T.shape, dtype=torch.int64),
            "response_mask": mask_B_T,
            "entropy": entropy_B_T,
            "advantages": advantage_B_T,
            "rm_scores": rewards_B_T,
        }
    )
