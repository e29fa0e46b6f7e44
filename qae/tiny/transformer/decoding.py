"""Logits token by token, from keys and values that are kept."""

import math

import torch
from torch import Tensor

from qae.tiny.transformer.model import Attend, Transformer


class Decoder:
    """The model on the way through the responses of some prompts; some of them may be dropped on the way.

    Args:
        model: the policy.
        prompt_P_S: prompt ids, int64 (prompts, prompt length).
        group: responses of a prompt; a prompt is computed once for all of them.
        tokens: most tokens that a response is fed.

    Attributes:
        first_logits_P_V: logits behind each prompt, float32 (prompts, vocabulary).
    """

    def __init__(self, model: Transformer, prompt_P_S: Tensor, group: int, tokens: int) -> None:
        prompts, length = prompt_P_S.shape
        self._model, self._length = model, length
        self._layers = [_LayerCache(model, prompts, group, length, length + tokens) for _ in range(model.config.layers)]
        attends: list[Attend] = [layer.attend_prompts for layer in self._layers]
        x_P_S_W = model.residual(prompt_P_S, torch.arange(length), attends)
        self.first_logits_P_V = model.logits(x_P_S_W[:, -1])

    def next_logits(self, token_B: Tensor, t: int) -> Tensor:
        """Logits behind the next token of each response that is left, float32 (responses, vocabulary).

        Args:
            token_B: the token, int64 (responses,).
            t: its index in the response, from 0; each index once, in order.
        """
        attends: list[Attend] = [layer.attend for layer in self._layers]
        return self._model.logits(self._model.residual(token_B, torch.tensor(self._length + t), attends))

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the responses."""
        for layer in self._layers:
            layer.keep(rows)


class _LayerCache:
    """Keys and values of one layer, responses last.

    Attention of a single query is then a product and a sum over adjacent numbers, without a matrix product a response.
    Heads are gone through one by one, so that their products stay in the processor's cache.
    """

    def __init__(self, model: Transformer, prompts: int, group: int, prompt_length: int, length: int) -> None:
        heads, width = model.config.heads, model.config.width
        self._model, self._group = model, group
        self._scale = (width // heads) ** -0.5
        self._held = prompt_length
        shape = length, width // heads, prompts * group
        self._keys_H_S_D_B, self._values_H_S_D_B = torch.empty(2, heads, *shape).unbind()
        # Memory of their own, because asking for megabytes at each token costs more than multiplying.
        self._products_S_D_B = torch.empty(shape)

    def attend_prompts(self, projected_P_S_3W: Tensor) -> Tensor:
        _, *keys_and_values = self._model.heads(projected_P_S_3W)
        for kept, made_P_H_S_D in zip((self._keys_H_S_D_B, self._values_H_S_D_B), keys_and_values, strict=True):
            kept[:, : self._held] = made_P_H_S_D.permute(1, 2, 3, 0).repeat_interleave(self._group, 3)
        return self._model.causal(projected_P_S_3W)

    def attend(self, projected_B_3W: Tensor) -> Tensor:
        heads, _, width, batch = self._keys_H_S_D_B.shape
        q_H_D_B, k_H_D_B, v_H_D_B = projected_B_3W.T.contiguous().view(3, heads, width, batch)
        q_H_D_B *= self._scale
        self._keys_H_S_D_B[:, self._held], self._values_H_S_D_B[:, self._held] = k_H_D_B, v_H_D_B
        self._held += 1
        products_S_D_B = self._products_S_D_B[: self._held]
        attended_H_D_B = torch.empty(heads, width, batch)
        for head in range(heads):
            keys_S_D_B, values_S_D_B = self._keys_H_S_D_B[head, : self._held], self._values_H_S_D_B[head, : self._held]
            share_S_B = torch.mul(keys_S_D_B, q_H_D_B[head], out=products_S_D_B).sum(1).softmax(0)
            torch.mul(values_S_D_B, share_S_B[:, None], out=products_S_D_B)
            torch.sum(products_S_D_B, 0, out=attended_H_D_B[head])
        return attended_H_D_B.flatten(0, 1).T

    def keep(self, rows: Tensor) -> None:
        shape = *self._keys_H_S_D_B.shape[:-1], len(rows)
        keys_H_S_D_B, values_H_S_D_B = torch.empty(2, *shape).unbind()
        # To gather the responses, which lie last, is several times faster than to index by them.
        held_H_S_D_B = rows.expand(shape[0], self._held, shape[2], len(rows))
        keys_H_S_D_B[:, : self._held] = self._keys_H_S_D_B[:, : self._held].gather(3, held_H_S_D_B)
        values_H_S_D_B[:, : self._held] = self._values_H_S_D_B[:, : self._held].gather(3, held_H_S_D_B)
        self._keys_H_S_D_B, self._values_H_S_D_B = keys_H_S_D_B, values_H_S_D_B
        self._products_S_D_B = self._products_S_D_B.flatten()[: math.prod(shape[1:])].view(shape[1:])
