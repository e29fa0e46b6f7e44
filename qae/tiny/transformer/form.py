"""Structured generation: what can be said at each position of a response, and where the verifier has its word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

# Finite, because 0 times an infinite log-probability is no number; its exponential is 0 in every precision.
_IMPOSSIBLE = -1e4


@dataclass(frozen=True)
class Form:
    """The tokens that are possible at each position, the same for all prompts.

    Attributes:
        bias_T_V: added to the logits, float32 (positions, vocabulary): 0 where a token is possible.
        verdict_at: position of the verifier's word, which the policy does not choose: the end behind a right answer;
            behind a wrong one another word, after which the response goes on.
    """

    bias_T_V: Tensor
    verdict_at: int

    @classmethod
    def of(cls, possible_T: Sequence[Sequence[int]], vocabulary: int, verdict_at: int) -> Self:
        """A form from the ids of the possible tokens; none at the verdict, where no distribution is asked for."""
        bias_T_V = torch.full((len(possible_T), vocabulary), _IMPOSSIBLE)
        for bias_V, possible in zip(bias_T_V, possible_T, strict=True):
            bias_V[list(possible)] = 0.0
        return cls(bias_T_V, verdict_at)

    def __len__(self) -> int:
        return len(self.bias_T_V)
