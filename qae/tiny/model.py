"""A pre-norm decoder-only transformer with learnt positions, and its key-value cache."""

import math

import torch
import torch.nn.functional as F  # noqa: N812  # the field's name for it
from torch import Tensor, nn

from qae.tiny.sections import Model


class KeyValueCache:
    """Keys and values of one layer, allocated once for the longest sequence."""

    def __init__(self, batch: int, heads: int, length: int, head_width: int) -> None:
        self.keys_B_H_S_D = torch.empty(batch, heads, length, head_width)
        self.values_B_H_S_D = torch.empty(batch, heads, length, head_width)

    def write(self, start: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values from position `start` on and return everything up to their end."""
        end = start + keys.shape[2]
        self.keys_B_H_S_D[:, :, start:end] = keys
        self.values_B_H_S_D[:, :, start:end] = values
        return self.keys_B_H_S_D[:, :, :end], self.values_B_H_S_D[:, :, :end]

    def select(self, rows: Tensor) -> None:
        """Keep some rows of the batch (or repeat them)."""
        self.keys_B_H_S_D = self.keys_B_H_S_D[rows]
        self.values_B_H_S_D = self.values_B_H_S_D[rows]


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a layer norm, each added to the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward_in = nn.Linear(width, 4 * width)
        self.feed_forward_out = nn.Linear(4 * width, width)

    def forward(self, x_B_S_W: Tensor, cache: KeyValueCache | None, start: int) -> Tensor:
        batch, length, width = x_B_S_W.shape
        projected = self.attention_in(self.attention_norm(x_B_S_W))
        q, k, v = projected.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.write(start, k, v)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
        x_B_S_W = x_B_S_W + self.attention_out(attended.transpose(1, 2).reshape(batch, length, width))
        return x_B_S_W + self.feed_forward_out(F.relu(self.feed_forward_in(self.feed_forward_norm(x_B_S_W))))


class Transformer(nn.Module):
    """Token ids to next-token logits."""

    def __init__(self, vocabulary: int, length: int, config: Model) -> None:
        super().__init__()
        self.length = length
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.position = nn.Embedding(length, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, vocabulary, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                embedding = parameter is self.embedding.weight or parameter is self.position.weight
                nn.init.normal_(parameter, std=0.02 if embedding else 1 / math.sqrt(parameter.shape[1]))

    def forward(
        self, ids_B_S: Tensor, *, caches: list[KeyValueCache] | None = None, start: int = 0, keep_from: int = 0
    ) -> Tensor:
        """Logits of the tokens that follow each position.

        Args:
            ids_B_S: token ids, int64 (batch, positions).
            caches: one a layer; the ids then continue the `start` positions that the caches hold.
            start: position of the first id. With a cache it is 0 or the ids are one position long.
            keep_from: leave out the logits of positions before this one.

        Returns:
            float32 (batch, positions - keep_from, vocabulary).
        """
        x_B_S_W = self.embedding(ids_B_S) + self.position.weight[start : start + ids_B_S.shape[1]]
        for layer, block in enumerate(self.blocks):
            x_B_S_W = block(x_B_S_W, caches[layer] if caches is not None else None, start)
        logits: Tensor = self.head(self.norm(x_B_S_W[:, keep_from:]))
        return logits

    def empty_caches(self, batch: int) -> list[KeyValueCache]:
        """A cache a layer for sequences up to the model's length."""
        c = self.config
        return [KeyValueCache(batch, c.heads, self.length, c.width // c.heads) for _ in range(c.layers)]
