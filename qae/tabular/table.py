"""Rows of logits: the exact gradient of a softmax policy, and Adam on the rows that were met.

Nothing here loops over rows or takes time for rows that are not met.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_EPSILON = 1e-8  # torch.optim.Adam's


@dataclass(frozen=True)
class Gradient:
    """The gradient of some rows.

    Attributes:
        rows: which, int64 (R,), each once.
        values: float (R, V).
    """

    rows: Tensor
    values: Tensor


def gradient(log_policy_R_V: Tensor, row_N: Tensor, token_N: Tensor, weight_N: Tensor, temperature: float) -> Tensor:
    """Gradient with respect to logits of the sum over n of weight_n times the log-probability of token n.

    Args:
        log_policy_R_V: log-probabilities of the rows, at the temperature.
        row_N: the row of each token, int64 (N,).
        token_N: the tokens, int64 (N,).
        weight_N: d loss / d log-probability, float (N,).
        temperature: by which logits are divided.

    Returns:
        float (R, V).
    """
    rows, width = log_policy_R_V.shape
    pushed_R_V = torch.zeros(rows * width).index_add_(0, row_N * width + token_N, weight_N).view(rows, width)
    along = pushed_R_V - pushed_R_V.sum(1, keepdim=True) * log_policy_R_V.exp()
    return along if temperature == 1 else along / temperature


class Table:
    """Logits of a softmax policy in rows, with Adam's moments.

    Adam is lazy, as `torch.optim.SparseAdam` is: a row that is not met keeps its logits and moments; the correction
    of the moments' bias counts all updates.
    """

    def __init__(self, logits_R_V: Tensor, betas: tuple[float, float]) -> None:
        self.logits = logits_R_V
        self._betas = betas
        self._first, self._second = torch.zeros_like(logits_R_V), torch.zeros_like(logits_R_V)
        self._updates = 0

    def log_policy(self, rows: Tensor, temperature: float) -> Tensor:
        """Log-probabilities of some rows, float (…, V)."""
        return torch.log_softmax(self.logits[rows] / temperature, -1)

    def descend(self, along: Gradient, lr: float) -> None:
        """An update of Adam."""
        self._updates += 1
        decay, square_decay = self._betas
        rows, values = along.rows, along.values
        first = self._first[rows].mul_(decay).add_(values, alpha=1 - decay)
        second = self._second[rows].mul_(square_decay).addcmul_(values, values, value=1 - square_decay)
        self._first[rows], self._second[rows] = first, second
        size = lr / (1 - decay**self._updates)
        scale = (second / (1 - square_decay**self._updates)).sqrt_().add_(_EPSILON)
        self.logits.index_add_(0, rows, first.div_(scale), alpha=-size)

    def state(self) -> dict[str, Any]:
        """All that a continued run needs."""
        return {"logits": self.logits, "first": self._first, "second": self._second, "updates": self._updates}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`."""
        self.logits, self._first, self._second = state["logits"], state["first"], state["second"]
        self._updates = state["updates"]
