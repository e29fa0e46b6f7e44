"""Log-probabilities of given responses for the update: no padding, and each prompt once for all of its responses."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from qae.tiny.model import Attend, Transformer


def log_probabilities(
    model: Transformer, prompt_P_S: Tensor, ids_B_T: Tensor, mask_B_T: Tensor, temperature: float
) -> Tensor:
    """Log-probability of each response token, with its gradient.

    Tokens go through the layers in one row each: those of the prompts, then those of the responses that a later token
    of the mask follows. Only attention sees responses as padded sequences, behind the keys and values of their prompt.

    Args:
        model: the policy.
        prompt_P_S: prompt ids, int64 (prompts, prompt length).
        ids_B_T: response ids, int64 (prompts * group, tokens); those of a prompt are adjacent.
        mask_B_T: above 0 where a log-probability is wanted, float32.
        temperature: of the sampling distribution.

    Returns:
        nats, float32 (prompts * group, tokens); 0 behind the last wanted token of a response.
    """
    group, tokens = len(ids_B_T) // len(prompt_P_S), ids_B_T.shape[1]
    later_B_T = mask_B_T[:, 1:].flip(1).cummax(1).values.flip(1) > 0
    packing = _Packing(model, *prompt_P_S.shape, group, tokens - 1, later_B_T.flatten().nonzero()[:, 0])
    ids_N = torch.cat([prompt_P_S.flatten(), ids_B_T[:, :-1].flatten()[packing.slot_R]])
    x_N_W = model.residual(ids_N, packing.positions(), [packing.attend] * model.config.layers)
    prompts, length = prompt_P_S.shape
    last_P_W = x_N_W[: prompts * length].view(prompts, length, -1)[:, -1]
    x_W = torch.cat([last_P_W.repeat_interleave(group, 0), x_N_W[prompts * length :]])
    wanted = torch.cat([ids_B_T[:, 0], ids_B_T[:, 1:].flatten()[packing.slot_R]])
    log_prob = -F.cross_entropy(model.logits(x_W) / temperature, wanted, reduction="none")
    first_B, later_R = log_prob.split([len(ids_B_T), len(packing.slot_R)])
    later = later_R.new_zeros(later_B_T.numel()).index_copy(0, packing.slot_R, later_R)
    return torch.cat([first_B[:, None], later.view_as(later_B_T)], 1)


@dataclass(frozen=True)
class _Packing:
    """Where the tokens lie: `prompts` times `length` rows of prompts, then one for each of `slot_R`.

    Attributes:
        model: has heads.
        prompts: their number.
        length: tokens of a prompt.
        group: responses of a prompt.
        tokens: of a padded response.
        slot_R: index of each row of the responses in (responses, tokens) flattened, int64.
    """

    model: Transformer
    prompts: int
    length: int
    group: int
    tokens: int
    slot_R: Tensor

    def positions(self) -> Tensor:
        """Position of each row in its sequence."""
        return torch.cat([torch.arange(self.length).repeat(self.prompts), self.length + self.slot_R % self.tokens])

    def attend(self, projected_N_3W: Tensor) -> Tensor:
        """Attention of prompts to themselves, and of responses to their prompt and themselves."""
        prompt, response = projected_N_3W.split([self.prompts * self.length, len(self.slot_R)])
        q, k, v = self.model.heads(prompt.view(self.prompts, self.length, -1))
        of_prompts = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2).flatten(0, 1)
        padded = response.new_zeros(self.prompts * self.group * self.tokens, response.shape[1])
        padded = padded.index_copy(0, self.slot_R, response)
        q, own_k, own_v = self.model.heads(padded.view(self.prompts * self.group, self.tokens, -1))
        keys = torch.cat([k.repeat_interleave(self.group, 0), own_k], 2)
        values = torch.cat([v.repeat_interleave(self.group, 0), own_v], 2)
        unseen = torch.full((self.tokens, self.length + self.tokens), -torch.inf).triu(self.length + 1)
        attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=unseen)
        return torch.cat([of_prompts, attended.transpose(1, 2).flatten(2).flatten(0, 1).index_select(0, self.slot_R)])
