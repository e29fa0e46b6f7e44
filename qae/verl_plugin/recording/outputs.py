"""A batch of verl as far as its description needs it: sums of each output and flat tokens, without padding.

At the paper's size a batch is 8,192 outputs of up to 20,480 tokens. Padded copies of its fields would be most of what
the driver holds (docs/performance.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """B outputs with N response tokens.

    Attributes:
        score_B: what the advantages were taken of, float (B,).
        advantage_B: at the first response token; 0 without any; float (B,).
        tokens_B: response tokens, int64 (B,).
        entropy_B: sum over response tokens, nats, float64 (B,).
        ids_N: the response tokens, int32 (N,).
        entropy_N: at each of them, nats, float32 (N,).
    """

    score_B: Tensor
    advantage_B: Tensor
    tokens_B: Tensor
    entropy_B: Tensor
    ids_N: Tensor
    entropy_N: Tensor

    @classmethod
    def of(cls, data: Mapping[str, Tensor]) -> "Outputs":
        """Read them off fields of the transfer queue.

        Args:
            data: ``responses``, ``response_mask``, ``entropy``, ``advantages`` and ``rm_scores``, and in its place
                ``token_level_rewards`` where that is there; each nested with one row per output, or padded (B, T).
        """
        tokens = _Tokens.of(data["response_mask"])
        tokens_B, entropy_N = tokens.counts(), tokens.taken(data["entropy"]).float()
        advantage_N = tokens.taken(data["advantages"])
        spoken_B = tokens_B > 0
        advantage_B = advantage_N.new_zeros(tokens.rows)
        advantage_B[spoken_B] = advantage_N[(tokens_B.cumsum(0) - tokens_B)[spoken_B]]
        rewards = data["token_level_rewards" if "token_level_rewards" in data else "rm_scores"]
        return cls(
            score_B=_sums(_flat(rewards)[0], tokens.row_M, tokens.rows).float(),
            advantage_B=advantage_B,
            tokens_B=tokens_B,
            entropy_B=tokens.sums(entropy_N),
            ids_N=tokens.taken(data["responses"]).int(),
            entropy_N=entropy_N,
        )

    @classmethod
    def joined(cls, parts: Sequence["Outputs"]) -> "Outputs":
        """The outputs of all parts, in order."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def policy_entropy(entropy_B: Tensor, tokens_B: Tensor) -> float:
    """Mean entropy over response tokens; NaN without any.

    Args:
        entropy_B: sum over each output's tokens, nats, float64 (B,).
        tokens_B: response tokens, (B,).
    """
    return float(entropy_B.sum() / tokens_B.sum())


def entropy_sums(data: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """`Outputs.entropy_B` and `Outputs.tokens_B` of fields that have ``response_mask`` and ``entropy``."""
    tokens = _Tokens.of(data["response_mask"])
    return tokens.sums(tokens.taken(data["entropy"]).float()), tokens.counts()


@dataclass(frozen=True)
class _Tokens:
    """Which of M positions are response tokens, and of which output each is.

    Attributes:
        taken_M: whether a position is a response token, bool (M,).
        row_M: the output of each position, int64 (M,).
        row_N: the output of each response token, int64 (N,).
        rows: outputs.
    """

    taken_M: Tensor
    row_M: Tensor
    row_N: Tensor
    rows: int

    @classmethod
    def of(cls, mask: Tensor) -> "_Tokens":
        mask_M, lengths_B = _flat(mask)
        taken_M, row_M = mask_M.bool(), torch.arange(len(lengths_B)).repeat_interleave(lengths_B)
        return cls(taken_M, row_M, row_M[taken_M], len(lengths_B))

    def taken(self, field: Tensor) -> Tensor:
        return _flat(field)[0][self.taken_M]

    def counts(self) -> Tensor:
        return torch.bincount(self.row_N, minlength=self.rows)

    def sums(self, values_N: Tensor) -> Tensor:
        return _sums(values_N, self.row_N, self.rows)


def _flat(field: Tensor) -> tuple[Tensor, Tensor]:
    """The values of all rows behind each other, and the length of each row."""
    if field.is_nested:
        return field.values(), field.offsets().diff()  # type: ignore[attr-defined]  # nested tensors'
    return field.reshape(-1), torch.full((field.shape[0],), field.shape[1], dtype=torch.int64)


def _sums(values_M: Tensor, row_M: Tensor, rows: int) -> Tensor:
    return torch.zeros(rows, dtype=torch.float64).index_add_(0, row_M, values_M.double())
