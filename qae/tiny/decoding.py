"""Logits token by token, from keys and values that are kept."""

import torch
from torch import Tensor

from qae.tiny.model import Attend, Transformer


class Decoder:
    """The model on the way through the responses of some prompts; some of them may be dropped on the way.

    Args:
        model: the policy.
        prompt_P_S: prompt ids, int64 (prompts, prompt length).
        group: responses of a prompt; a prompt is computed once for all of them.
        tokens: most tokens that a response is fed.
    """

    def __init__(self, model: Transformer, prompt_P_S: Tensor, group: int, tokens: int) -> None:
        prompts, length = prompt_P_S.shape
        self._model, self._length = model, length
        self._layers = [
            _LayerCache(model, prompts, group, length, length + tokens) for _ in range(model.config.layers)
        ]
        attends: list[Attend] = [layer.attend_prompts for layer in self._layers]
        x_P_S_W = model.residual(prompt_P_S, torch.arange(length), attends)
        self.first_logits_P_V = model.logits(x_P_S_W[:, -1])

    def next_logits(self, token_B: Tensor, t: int) -> Tensor:
        """Logits behind the t-th token of each response, float32 (responses, vocabulary)."""
        attends: list[Attend] = [layer.attend for layer in self._layers]
        return self._model.logits(self._model.residual(token_B, torch.tensor(self._length + t), attends))

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the responses."""
        for layer in self._layers:
            layer.keep(rows)


class _LayerCache:
    """Keys and values of one layer, responses last: attention of a single query is then a product and a sum over
    adjacent numbers, which is several times as fast as a matrix product a response.
    """

    def __init__(self, model: Transformer, prompts: int, group: int, prompt_length: int, length: int) -> None:
        heads, width = model.config.heads, model.config.width
        self._model, self._group = model, group
        self._scale = (width // heads) ** -0.5
        self._held = prompt_length
        self._keys_S_H_D_B, self._values_S_H_D_B = torch.empty(
            2, length, heads, width // heads, prompts * group
        ).unbind()

    def attend_prompts(self, projected_P_S_3W: Tensor) -> Tensor:
        _, *keys_and_values = self._model.heads(projected_P_S_3W)
        for kept, made_P_H_S_D in zip((self._keys_S_H_D_B, self._values_S_H_D_B), keys_and_values, strict=True):
            kept[: self._held] = made_P_H_S_D.permute(2, 1, 3, 0).repeat_interleave(self._group, 3)
        return self._model.causal(projected_P_S_3W)

    def attend(self, projected_B_3W: Tensor) -> Tensor:
        q_H_D_B, k_H_D_B, v_H_D_B = projected_B_3W.T.contiguous().view(3, *self._keys_S_H_D_B.shape[1:])
        self._keys_S_H_D_B[self._held], self._values_S_H_D_B[self._held] = k_H_D_B, v_H_D_B
        self._held += 1
        scores_S_H_B = (self._keys_S_H_D_B[: self._held] * (q_H_D_B * self._scale)).sum(2)
        share_S_H_B = scores_S_H_B.softmax(0)
        attended_H_D_B = (self._values_S_H_D_B[: self._held] * share_S_H_B[:, :, None]).sum(0)
        return attended_H_D_B.flatten(0, 1).T

    def keep(self, rows: Tensor) -> None:
        self._keys_S_H_D_B, self._values_S_H_D_B = (
            torch.cat([kept[: self._held, ..., rows], kept.new_empty(len(kept) - self._held, *kept.shape[1:3], len(rows))])
            for kept in (self._keys_S_H_D_B, self._values_S_H_D_B)
        )
