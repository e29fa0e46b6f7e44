"""What training asks of a policy with its task; `qae.embedded.train` has all that does not depend on it."""

from collections.abc import Mapping
from typing import Any, Protocol

from qae.embedded.batch import Batch, MiniBatch
from qae.evaluation import ProblemResult
from qae.tokens.statistics import HighEntropyToken


class Policy(Protocol):
    """A policy that is sampled from, updated and evaluated on its task. Every draw is a function of seed and step."""

    def batch(self, step: int) -> Batch:
        """The rollout batch of a step.

        Raises:
            RuntimeError: not one group had mixed rewards, so there is nothing to learn from.
        """
        ...

    def descend(self, part: MiniBatch, lr: float) -> dict[str, float]:
        """Take one gradient step on some responses, at a learning rate.

        Returns:
            what the loss logs, with `actor/pg_loss` and `actor/grad_norm`.
        """
        ...

    def evaluate(self, step: int) -> list[ProblemResult]:
        """Counts for each held-out problem, by the true verifier."""
        ...

    def high_entropy_tokens(self, batch: Batch) -> list[HighEntropyToken]:
        """As `qae.tokens.statistics` has them."""
        ...

    def marker_counts(self, batch: Batch) -> dict[str, int]:
        """How often each marker word was sampled."""
        ...

    def state(self) -> dict[str, Any]:
        """All that a continued run needs, tensors and plain values."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`."""
        ...
