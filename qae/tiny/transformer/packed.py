"""Log-probabilities of given responses for the update: no padding, and each prompt once for all of its responses."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from qae.tiny.transformer.form import Form
from qae.tiny.transformer.model import Transformer

# Attention pads responses to the longest of so many; fewer would be more and smaller products.
_ROWS_TOGETHER = 16


def log_probabilities(
    model: Transformer,
    prompt_P_S: Tensor,
    ids_B_T: Tensor,
    mask_B_T: Tensor,
    temperature: float,
    form: Form | None = None,
) -> Tensor:
    """Log-probability of each response token, with its gradient.

    Tokens go through the layers in one row each: those of the prompts, then those of the responses that a later token
    of the mask follows. Only attention sees padded responses, those of like length together.

    Args:
        model: the policy.
        prompt_P_S: prompt ids, int64 (prompts, prompt length).
        ids_B_T: response ids, int64 (prompts * group, tokens); those of a prompt are adjacent.
        mask_B_T: above 0 where a log-probability is wanted, float32.
        temperature: of the sampling distribution.
        form: what was possible at each position; without it every token was.

    Returns:
        nats, float32 (prompts * group, tokens); 0 behind the last wanted token of a response.
    """
    (prompts, length), (responses, tokens) = prompt_P_S.shape, ids_B_T.shape
    later_B_T = mask_B_T[:, 1:].flip(1).cummax(1).values.flip(1) > 0
    packing = _Packing(model, prompts, length, _like_lengths(later_B_T.sum(1), responses // prompts))
    none = torch.empty(0, dtype=torch.int64)  # where every response is one token long
    slot_R = torch.cat([none, *(part.row_R * (tokens - 1) + part.token_R for part in packing.parts)])
    ids_N = torch.cat([prompt_P_S.flatten(), ids_B_T[:, :-1].flatten()[slot_R]])
    x_N_W = model.residual(ids_N, packing.positions(), [packing.attend] * model.config.layers)
    of_prompts, of_responses = x_N_W.split([prompts * length, len(slot_R)])
    last_P_W = of_prompts.view(prompts, length, -1)[:, -1]
    logits = model.logits(torch.cat([last_P_W.repeat_interleave(responses // prompts, 0), of_responses]))
    if form is not None:
        position_N = torch.cat([slot_R.new_zeros(responses), *(part.token_R + 1 for part in packing.parts)])
        logits = logits + form.bias_T_V[position_N]
    logits = logits / temperature
    wanted = torch.cat([ids_B_T[:, 0], ids_B_T[:, 1:].flatten()[slot_R]])
    first_B, later_R = (-F.cross_entropy(logits, wanted, reduction="none")).split([responses, len(slot_R)])
    later = later_R.new_zeros(later_B_T.numel()).index_copy(0, slot_R, later_R)
    return torch.cat([first_B[:, None], later.view_as(later_B_T)], 1)


@dataclass(frozen=True)
class _Part:
    """Responses of like length, each of at least one token here.

    Attributes:
        prompt_B: the prompt of each.
        tokens: of the longest.
        row_R: of each token, its response in the whole batch.
        token_R: of each token, its index in the response.
        slot_R: of each token, its index in (responses of this part, tokens) flattened.
    """

    prompt_B: Tensor
    tokens: int
    row_R: Tensor
    token_R: Tensor
    slot_R: Tensor


def _like_lengths(length_B: Tensor, group: int) -> list[_Part]:
    order = length_B.argsort(stable=True)[int((length_B == 0).sum()) :]
    parts = []
    for start in range(0, len(order), _ROWS_TOGETHER):
        row_B = order[start : start + _ROWS_TOGETHER]
        own_B = length_B[row_B]
        tokens = int(own_B[-1])
        slot_R = (torch.arange(tokens) < own_B[:, None]).flatten().nonzero()[:, 0]
        parts.append(_Part(row_B // group, tokens, row_B.repeat_interleave(own_B), slot_R % tokens, slot_R))
    return parts


@dataclass(frozen=True)
class _Packing:
    """Where the tokens lie: `prompts` times `length` rows of prompts, then a row for each token of the parts."""

    model: Transformer
    prompts: int
    length: int
    parts: list[_Part]

    def positions(self) -> Tensor:
        """Position of each row in its sequence."""
        of_prompts = torch.arange(self.length).repeat(self.prompts)
        return torch.cat([of_prompts, *(self.length + part.token_R for part in self.parts)])

    def attend(self, projected_N_3W: Tensor) -> Tensor:
        """Attention of prompts to themselves, and of responses to their prompt and themselves."""
        sizes = [len(part.slot_R) for part in self.parts]
        of_prompts, *of_parts = projected_N_3W.split([self.prompts * self.length, *sizes])
        prompt_P_S_3W = of_prompts.view(self.prompts, self.length, -1)
        _, keys_P_H_S_D, values_P_H_S_D = self.model.heads(prompt_P_S_3W)
        attended = [self.model.causal(prompt_P_S_3W).flatten(0, 1)]
        for part, projected_R_3W in zip(self.parts, of_parts, strict=True):
            rows = len(part.prompt_B)
            padded = projected_R_3W.new_zeros(rows * part.tokens, projected_R_3W.shape[1])
            padded_B_T_3W = padded.index_copy(0, part.slot_R, projected_R_3W).view(rows, part.tokens, -1)
            q, own_keys, own_values = self.model.heads(padded_B_T_3W)
            keys = torch.cat([keys_P_H_S_D.index_select(0, part.prompt_B), own_keys], 2)
            values = torch.cat([values_P_H_S_D.index_select(0, part.prompt_B), own_values], 2)
            unseen = torch.full((part.tokens, self.length + part.tokens), -torch.inf).triu(self.length + 1)
            own = F.scaled_dot_product_attention(q, keys, values, attn_mask=unseen)
            attended.append(own.transpose(1, 2).flatten(2).flatten(0, 1).index_select(0, part.slot_R))
        return torch.cat(attended)
