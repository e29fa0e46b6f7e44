"""The tabular softmax policy and its world as the policy that is trained (the setting of the paper's section 4.3)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from qae import metrics
from qae.embedded.batch import Batch, Generated, MiniBatch, Responses, noisy, prompts_a_part, sampled
from qae.embedded.losses import make_policy_loss
from qae.embedded.seeding import Purpose, torch_generator
from qae.evaluation import ProblemResult
from qae.tabular.config import TabularConfig
from qae.tabular.table import Gradient, Table, gradient
from qae.tabular.world import TabularWorld
from qae.tokens import statistics as token_statistics
from qae.tokens.statistics import HighEntropyToken

_CLIP_EPSILON = 1e-6  # torch.nn.utils.clip_grad_norm_'s


class TabularPolicy:
    """See `qae.embedded.policy.Policy`. Two tables: one row per style context, and one row per fact."""

    def __init__(self, config: TabularConfig) -> None:
        self._config = config
        self._world = TabularWorld(config.tabular)
        betas = (config.actor.optim.betas[0], config.actor.optim.betas[1])
        self.style = Table(self._world.style_start(), betas)
        self.facts = Table(self._world.fact_start(), betas)
        self._contexts = torch.arange(config.tabular.style_contexts)
        self._loss = make_policy_loss(config.actor, config.rollout.n)

    def batch(self, step: int) -> Batch:
        """Responses to prompts of facts drawn anew."""
        return sampled(self._config, step, lambda part: self._generated(step, part))

    def descend(self, part: MiniBatch, lr: float) -> dict[str, float]:
        """A step of Adam, lazy on the facts. Log-probabilities have a closed gradient for the logits."""
        world, layout = self._config.tabular, self._world.layout
        temperature = self._config.rollout.temperature
        context_B_S, token_B_S = part.inputs_B[:, layout.style], part.ids_B_T[:, layout.style]
        choice_B_O = part.ids_B_T[:, layout.fact] - world.vocabulary
        asked, place_B_O = torch.unique(part.inputs_B[:, layout.fact] - world.style_contexts, return_inverse=True)
        log_style = self.style.log_policy(self._contexts, temperature)
        log_facts = self.facts.log_policy(asked, temperature)
        log_prob_B_T = torch.cat([log_style[context_B_S, token_B_S], log_facts[place_B_O, choice_B_O]], 1)
        objective, weight_B_T, values = self._loss.with_gradient(
            old_log_prob=part.old_log_prob_B_T,
            log_prob=log_prob_B_T,
            advantages=part.advantage_B[:, None].expand(-1, layout.longest),
            response_mask=part.mask_B_T,
        )
        along_style = gradient(
            log_style, context_B_S.flatten(), token_B_S.flatten(), weight_B_T[:, layout.style].flatten(), temperature
        )
        along_facts = gradient(
            log_facts, place_B_O.flatten(), choice_B_O.flatten(), weight_B_T[:, layout.fact].flatten(), temperature
        )
        norm = (along_style.square().sum() + along_facts.square().sum()).sqrt()
        scale = (self._config.actor.grad_clip / (norm + _CLIP_EPSILON)).clamp(max=1.0)
        self.style.descend(Gradient(self._contexts, along_style * scale), lr)
        self.facts.descend(Gradient(asked, along_facts * scale), lr * world.fact_lr_factor)
        return {**values, metrics.POLICY_LOSS.name: objective.item(), metrics.GRAD_NORM.name: norm.item()}

    def evaluate(self, step: int) -> list[ProblemResult]:
        """Counts of the held-out prompts."""
        validation, layout = self._config.rollout.val_kwargs, self._world.layout
        generator = torch_generator(self._config.seed, Purpose.EVALUATION, step)
        drawn = self._world.draw(
            self.style, self.facts, self._world.held_out_P_O, validation.n, validation.temperature, generator
        )
        right_P = drawn.right_B.view(-1, validation.n).sum(1).tolist()
        longer = layout.longest - layout.length
        return [
            ProblemResult(
                "held-out", f"facts-{index:03d}", validation.n, right, layout.longest - longer * right / validation.n
            )
            for index, right in enumerate(right_P)
        ]

    def high_entropy_tokens(self, batch: Batch) -> list[HighEntropyToken]:
        """Of style tokens and choices."""
        taken = batch.responses.mask_B_T.bool()
        return token_statistics.high_entropy_tokens(
            batch.responses.ids_B_T[taken], batch.responses.entropy_B_T[taken], lambda token: self._world.tokens[token]
        )

    def marker_counts(self, batch: Batch) -> dict[str, int]:
        """Of the marker words in the tail of the style tokens."""
        taken = batch.responses.ids_B_T[batch.responses.mask_B_T.bool()]
        counts = torch.bincount(taken, minlength=len(self._world.tokens)).tolist()
        return {word: counts[token] for token, word in self._world.markers.items()}

    def state(self) -> dict[str, Any]:
        """Both tables."""
        return {"style": self.style.state(), "facts": self.facts.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Both tables."""
        self.style.load(state["style"])
        self.facts.load(state["facts"])

    def _generated(self, step: int, part: int) -> Generated:
        config, layout = self._config, self._world.layout
        temperature, n = config.rollout.temperature, config.rollout.n
        asking = torch_generator(config.seed, Purpose.PROBLEMS, step, part)
        asked_P_O = self._world.prompts(prompts_a_part(config), asking)
        generator = torch_generator(config.seed, Purpose.SAMPLING, step, part)
        drawn = self._world.draw(self.style, self.facts, asked_P_O, n, temperature, generator)
        score_B = noisy(drawn.right_B.float(), config, step, part)
        # A response goes on where the verifier has said no, whatever is true.
        mask_B_T = self._world.mask(score_B > 0)
        log_style = self.style.log_policy(self._contexts, temperature)
        log_facts_P_O_M = self.facts.log_policy(asked_P_O, temperature)
        log_facts_B_O_M = log_facts_P_O_M.repeat_interleave(n, 0)
        choice_B_O = drawn.ids_B_T[:, layout.fact] - config.tabular.vocabulary
        context_B_S = drawn.row_B_T[:, layout.style]
        log_prob_B_T = torch.cat(
            [
                log_style[context_B_S, drawn.ids_B_T[:, layout.style]],
                log_facts_B_O_M.gather(-1, choice_B_O[..., None])[..., 0],
            ],
            1,
        )
        entropy_B_T = torch.cat(
            [_entropy(log_style)[context_B_S], _entropy(log_facts_P_O_M).repeat_interleave(n, 0)], 1
        )
        responses = Responses(drawn.ids_B_T, log_prob_B_T, entropy_B_T * mask_B_T, mask_B_T)
        return Generated(drawn.row_B_T, responses, score_B)


def _entropy(log_policy: Tensor) -> Tensor:
    """Of each row, nats."""
    return -(log_policy.exp() * log_policy).sum(-1)
