"""A batch of verl as far as its description needs it: sums of each output and flat tokens, without padding.

At the paper's size a batch is 8,192 outputs of up to 20,480 tokens. Padded copies of its fields would be most of what
the driver holds (docs/performance.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
                ``token_level_rewards`` where that is there; each nested with a row an output, or padded (B, T).
        """
        mask_M, lengths_B = _flat(data["response_mask"])
        row_M = torch.arange(len(lengths_B)).repeat_interleave(lengths_B)
        taken_M = mask_M.bool()
        row_N = row_M[taken_M]
        tokens_B = torch.bincount(row_N, minlength=len(lengths_B))
        entropy_N = _flat(data["entropy"])[0][taken_M].float()
        reward_M, _ = _flat(data["token_level_rewards" if "token_level_rewards" in data else "rm_scores"])
        advantage_N = _flat(data["advantages"])[0][taken_M]
        spoken_B = tokens_B > 0
        advantage_B = advantage_N.new_zeros(len(lengths_B))
        advantage_B[spoken_B] = advantage_N[(tokens_B.cumsum(0) - tokens_B)[spoken_B]]
        return cls(
            score_B=_sums(reward_M, row_M, len(lengths_B)).float(),
            advantage_B=advantage_B,
            tokens_B=tokens_B,
            entropy_B=_sums(entropy_N, row_N, len(lengths_B)),
            ids_N=_flat(data["responses"])[0][taken_M].int(),
            entropy_N=entropy_N,
        )

    @classmethod
    def joined(cls, parts: Sequence["Outputs"]) -> "Outputs":
        """The outputs of all parts, in order."""
        names = ("score_B", "advantage_B", "tokens_B", "entropy_B", "ids_N", "entropy_N")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def policy_entropy(entropy_B: Tensor, tokens_B: Tensor) -> float:
    """Mean entropy over response tokens; NaN without any.

    Args:
        entropy_B: sum over each output's tokens, nats, float64 (B,).
        tokens_B: response tokens, (B,).
    """
    return float(entropy_B.sum() / tokens_B.sum())


def entropy_sums(data: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """`Outputs.entropy_B` and `Outputs.tokens_B` of fields that have ``response_mask`` and ``entropy``."""
    mask_M, lengths_B = _flat(data["response_mask"])
    taken_M = mask_M.bool()
    row_N = torch.arange(len(lengths_B)).repeat_interleave(lengths_B)[taken_M]
    entropy_N = _flat(data["entropy"])[0][taken_M].float()
    return _sums(entropy_N, row_N, len(lengths_B)), torch.bincount(row_N, minlength=len(lengths_B))


def _flat(field: Tensor) -> tuple[Tensor, Tensor]:
    """The values of all rows behind each other, and the length of each row."""
    if field.is_nested:
        return field.values(), field.offsets().diff()  # type: ignore[attr-defined]  # nested tensors'
    return field.reshape(-1), torch.full((field.shape[0],), field.shape[1], dtype=torch.int64)


def _sums(values_M: Tensor, row_M: Tensor, rows: int) -> Tensor:
    return torch.zeros(rows, dtype=torch.float64).index_add_(0, row_M, values_M.double())
