"""One rollout batch: groups of responses with verified rewards, by dynamic sampling. Whatever the policy is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from qae.embedded.config import EmbeddedConfig
from qae.embedded.seeding import Purpose, torch_generator
from qae.run_directory import NOTHING_TO_LEARN


@dataclass(frozen=True)
class Responses:
    """Sampled responses; rows of a prompt are adjacent.

    Attributes:
        ids_B_T: token ids, int64 (responses, tokens), padded where the mask is 0.
        log_prob_B_T: log-probability of each token under the sampling distribution, nats.
        entropy_B_T: full-vocabulary entropy at the sampling temperature (as verl), nats, 0 in the padding.
        mask_B_T: 1.0 for response tokens, end token included, 0.0 for padding.
    """

    ids_B_T: Tensor
    log_prob_B_T: Tensor
    entropy_B_T: Tensor
    mask_B_T: Tensor

    def take(self, rows: Tensor | slice) -> Self:
        """Some of the responses."""
        return type(self)(self.ids_B_T[rows], self.log_prob_B_T[rows], self.entropy_B_T[rows], self.mask_B_T[rows])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Responses below responses."""
        return cls(
            torch.cat([part.ids_B_T for part in parts]),
            torch.cat([part.log_prob_B_T for part in parts]),
            torch.cat([part.entropy_B_T for part in parts]),
            torch.cat([part.mask_B_T for part in parts]),
        )


@dataclass(frozen=True)
class Generated:
    """Groups as they come from the policy, before dynamic sampling.

    Attributes:
        inputs_B: what the policy computes the responses' probabilities from again: prompt ids or rows of a table.
        responses: of each prompt `rollout.n`, adjacent.
        score_B: rewards as the trainer sees them, float32.
    """

    inputs_B: Tensor
    responses: Responses
    score_B: Tensor


@dataclass(frozen=True)
class Batch:
    """The responses that a step trains on; those of a prompt are adjacent.

    Attributes:
        inputs_B: as of `Generated`, one row per response.
        responses: ids, log-probabilities under the rollout policy, entropies, mask; each (B, T).
        score_B: rewards as the trainer sees them (noise included), float32.
        group_B: index of the response's prompt in the batch, int64.
        generated_groups: groups sampled before filtering.
        kept_groups: groups with mixed rewards among them.
        generated_score: mean reward of all generated responses.
        generated_tokens: response tokens sampled.
    """

    inputs_B: Tensor
    responses: Responses
    score_B: Tensor
    group_B: Tensor
    generated_groups: int
    kept_groups: int
    generated_score: float
    generated_tokens: int

    @cached_property
    def tokens_B(self) -> Tensor:  # noqa: N802  # the suffix names its dimension
        """Tokens of each response, float32."""
        return self.responses.mask_B_T.sum(1)

    @property
    def entropy(self) -> float:
        """Entropy of the rollout policy, mean over all response tokens, nats/token."""
        return float(self.responses.entropy_B_T.sum(1).sum() / self.tokens_B.sum())


@dataclass(frozen=True)
class MiniBatch:
    """Responses of whole groups, with what an update needs of them.

    Attributes:
        inputs_B: as of `Generated`.
        ids_B_T: token ids, int64 (B, T).
        old_log_prob_B_T: log-probabilities under the rollout policy, float32.
        advantage_B: float32; every token of a response gets its advantage.
        mask_B_T: 1.0 for tokens that take part in the loss, float32.
    """

    inputs_B: Tensor
    ids_B_T: Tensor
    old_log_prob_B_T: Tensor
    advantage_B: Tensor
    mask_B_T: Tensor

    @classmethod
    def of(cls, batch: Batch, advantage_B: Tensor, mask_B_T: Tensor) -> Self:
        """All responses of a batch."""
        return cls(batch.inputs_B, batch.responses.ids_B_T, batch.responses.log_prob_B_T, advantage_B, mask_B_T)

    def take(self, rows: Tensor | slice) -> Self:
        """Some of the responses; of a slice without a copy."""
        return type(self)(
            self.inputs_B[rows],
            self.ids_B_T[rows],
            self.old_log_prob_B_T[rows],
            self.advantage_B[rows],
            self.mask_B_T[rows],
        )


def sampled(config: EmbeddedConfig, step: int, generate: Callable[[int], Generated]) -> Batch:
    """Generate until `data.train_batch_size` groups have mixed rewards or the generation limit is reached.

    Args:
        config: the run; without `algorithm.filter_groups.enable` groups are taken as they come.
        step: for the error.
        generate: makes the groups of a part; parts are counted from 0.

    Raises:
        RuntimeError: not one group had mixed rewards, so there is nothing to learn from.
    """
    n, filtering = config.rollout.n, config.algorithm.filter_groups
    limit = config.data.train_batch_size * n
    parts: list[Generated] = []
    generated = kept = tokens = 0
    score_sum = 0.0
    for part in range(filtering.max_num_gen_batches if filtering.enable else 1):
        made = generate(part)
        score_P_G = made.score_B.view(-1, n)
        mixed_P = (score_P_G != score_P_G[:, :1]).any(1)
        chosen = (mixed_P if filtering.enable else torch.ones_like(mixed_P)).nonzero()[:, 0]
        rows = (chosen[:, None] * n + torch.arange(n)).flatten()
        parts.append(Generated(made.inputs_B[rows], made.responses.take(rows), made.score_B[rows]))
        generated += len(score_P_G)
        kept += int(mixed_P.sum())
        tokens += int(made.responses.mask_B_T.sum())
        score_sum += float(score_P_G.sum())
        if sum(len(one.score_B) for one in parts) >= limit:
            break
    score_B = torch.cat([one.score_B for one in parts])[:limit]
    if len(score_B) == 0:
        raise RuntimeError(
            f"step {step}: none of {generated} groups had both right and wrong responses "
            f"(mean reward {score_sum / (generated * n):.3f}); {NOTHING_TO_LEARN}"
        )
    return Batch(
        inputs_B=torch.cat([one.inputs_B for one in parts])[:limit],
        responses=Responses.joined([one.responses for one in parts]).take(slice(limit)),
        score_B=score_B,
        group_B=torch.arange(len(score_B) // n).repeat_interleave(n),
        generated_groups=generated,
        kept_groups=kept,
        generated_score=score_sum / (generated * n),
        generated_tokens=tokens,
    )


def prompts_a_part(config: EmbeddedConfig) -> int:
    """Prompts that are generated for at a time."""
    return config.data.gen_batch_size if config.algorithm.filter_groups.enable else config.data.train_batch_size


def noisy(score_B: Tensor, config: EmbeddedConfig, step: int, part: int) -> Tensor:
    """Rewards of a verifier that errs as `data.reward_noise` says."""
    noise = config.data.reward_noise
    if noise.random == 0 and noise.flip == 0:
        return score_B
    generator = torch_generator(config.seed, Purpose.REWARD_NOISE, step, part)
    if noise.random > 0:
        score_B = (torch.rand(score_B.shape, generator=generator) < noise.random).float()
    flipped_B = torch.rand(score_B.shape, generator=generator) < noise.flip
    return torch.where(flipped_B, 1 - score_B, score_B)
