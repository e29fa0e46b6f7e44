"""A pre-norm decoder-only transformer with learnt positions, with attention over whole sequences.

`qae.tiny.transformer.packed` and `qae.tiny.transformer.decoding` bring the attention for packed rows and for sampling.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812  # the field's name for it
from torch import Tensor, nn

from qae.tiny.sections import Model

Attend = Callable[[Tensor], Tensor]


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a layer norm, each added to the residual stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward_in = nn.Linear(width, 4 * width)
        self.feed_forward_out = nn.Linear(4 * width, width)

    def forward(self, x_W: Tensor, attend: Attend) -> Tensor:
        """The residual stream of some tokens, float32 (…, width), after the block.

        Args:
            x_W: the stream before it.
            attend: maps queries, keys and values (…, 3 * width) to what is attended (…, width).
        """
        x_W = x_W + self.attention_out(attend(self.attention_in(self.attention_norm(x_W))))
        return x_W + self.feed_forward_out(F.relu(self.feed_forward_in(self.feed_forward_norm(x_W))))


class Transformer(nn.Module):
    """Token ids to next-token logits."""

    def __init__(self, vocabulary: int, length: int, config: Model) -> None:
        super().__init__()
        self.length = length
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.position = nn.Embedding(length, config.width)
        self.blocks = nn.ModuleList(Block(config.width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, vocabulary, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                embedding = parameter is self.embedding.weight or parameter is self.position.weight
                nn.init.normal_(parameter, std=0.02 if embedding else 1 / math.sqrt(parameter.shape[1]))

    def forward(self, ids_B_S: Tensor, *, keep_from: int = 0) -> Tensor:
        """Logits of the tokens that follow each position.

        Args:
            ids_B_S: token ids, int64 (batch, positions).
            keep_from: leave out the logits of positions before this one.

        Returns:
            float32 (batch, positions - keep_from, vocabulary).
        """
        position_S = torch.arange(ids_B_S.shape[1])
        attends = [self.causal] * self.config.layers
        return self.logits(self.residual(ids_B_S, position_S, attends)[:, keep_from:])

    def residual(self, ids: Tensor, position: Tensor, attends: Sequence[Attend]) -> Tensor:
        """The residual stream behind the last block.

        Args:
            ids: token ids, int64, of any shape.
            position: of each token in its sequence, int64, of a shape that broadcasts to that of the ids.
            attends: the attention of each layer, as `Block.forward` takes it.

        Returns:
            float32 (…, width).
        """
        x_W = self.embedding(ids) + self.position(position)
        for block, attend in zip(self.blocks, attends, strict=True):
            x_W = block(x_W, attend)
        return cast("Tensor", x_W)

    def logits(self, x_W: Tensor) -> Tensor:
        """Logits of the next token, float32 (…, vocabulary), from the residual stream."""
        logits: Tensor = self.head(self.norm(x_W))
        return logits

    def causal(self, projected_B_S_3W: Tensor) -> Tensor:
        """Attention of whole sequences to themselves, float32 (batch, positions, width)."""
        q, k, v = self.heads(projected_B_S_3W)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return attended.transpose(1, 2).flatten(2)

    def heads(self, projected_B_S_3W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of sequences, each a view (batch, heads, positions, head width)."""
        batch, length, width = projected_B_S_3W.shape
        heads = self.config.heads
        q, k, v = projected_B_S_3W.view(batch, length, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
        return q, k, v
