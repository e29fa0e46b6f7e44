"""The transformer and its task as the policy that is trained."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qae import metrics
from qae.embedded.batch import Batch, MiniBatch
from qae.embedded.losses import make_policy_loss
from qae.evaluation import ProblemResult
from qae.tiny import token_statistics
from qae.tiny.config import TinyConfig
from qae.tiny.evaluate import evaluate
from qae.tiny.pretrain import pretrained_model
from qae.tiny.rollout import Rollouts
from qae.tiny.task import ChainedArithmetic
from qae.tiny.transformer.packed import log_probabilities
from qae.tokens.statistics import HighEntropyToken


class TinyPolicy:
    """See `qae.embedded.policy.Policy`."""

    def __init__(self, config: TinyConfig, cache: Path, should_stop: Callable[[], bool]) -> None:
        """Begin at the supervised start.

        Args:
            config: the run.
            cache: where the start is kept for all runs that share it.
            should_stop: asked while the start is made or waited for.

        Raises:
            PretrainingStoppedError: `should_stop` said yes.
        """
        self._config = config
        self._arithmetic = ChainedArithmetic(config.tiny.task)
        self._evaluation_sets = self._arithmetic.evaluation_sets()
        self._model = pretrained_model(config, self._arithmetic, cache, should_stop)
        optim = config.actor.optim
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=optim.lr,
            betas=(optim.betas[0], optim.betas[1]),
            weight_decay=optim.weight_decay,
            fused=True,
        )
        self._loss = make_policy_loss(config.actor, config.rollout.n)
        self._rollouts = Rollouts(config, self._arithmetic)

    def batch(self, step: int) -> Batch:
        """Responses to problems that no evaluation set has."""
        return self._rollouts.batch(self._model, step)

    def descend(self, part: MiniBatch, lr: float) -> dict[str, float]:
        """A step of AdamW."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        objective, values = self._objective(part)
        self._optimizer.zero_grad()
        objective.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.actor.grad_clip)
        self._optimizer.step()
        return {**values, metrics.POLICY_LOSS.name: objective.item(), metrics.GRAD_NORM.name: norm.item()}

    def evaluate(self, step: int) -> list[ProblemResult]:
        """See `qae.tiny.evaluate`."""
        return evaluate(self._model, self._arithmetic, self._evaluation_sets, self._config, step)

    def high_entropy_tokens(self, batch: Batch) -> list[HighEntropyToken]:
        """Of all tokens of the vocabulary."""
        return token_statistics.high_entropy_tokens(batch.responses, self._arithmetic.vocabulary)

    def marker_counts(self, batch: Batch) -> dict[str, int]:
        """Of ``wait`` and the fillers."""
        return token_statistics.marker_counts(batch.responses, self._arithmetic.vocabulary)

    def state(self) -> dict[str, Any]:
        """Weights and the optimizer's state."""
        return {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Weights and the optimizer's state."""
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _objective(self, part: MiniBatch) -> tuple[Tensor, dict[str, float]]:
        length = max(1, int((part.mask_B_T > 0).any(0).nonzero().max()) + 1)
        mask_B_T = part.mask_B_T[:, :length]
        log_prob_B_T = log_probabilities(
            self._model,
            part.inputs_B[:: self._config.rollout.n],
            part.ids_B_T[:, :length],
            mask_B_T,
            self._config.rollout.temperature,
            self._arithmetic.form,
        )
        return self._loss(
            old_log_prob=part.old_log_prob_B_T[:, :length],
            log_prob=log_prob_B_T,
            advantages=part.advantage_B[:, None].expand(-1, length),
            response_mask=mask_B_T,
        )
