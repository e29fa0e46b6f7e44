"""One rollout batch: problems, G responses each, verified rewards, dynamic sampling."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qae.run_directory import NOTHING_TO_LEARN
from qae.tiny.config import TinyConfig
from qae.tiny.model import Transformer
from qae.tiny.sampling import Responses, sample
from qae.tiny.seeding import Purpose, numpy_generator, torch_generator
from qae.tiny.task import ChainedArithmetic, Problems


@dataclass(frozen=True)
class Batch:
    """The responses that a step trains on; those of a prompt are adjacent.

    Attributes:
        prompt_B_S: prompt ids, int64, repeated for each response.
        responses: ids, log-probabilities under the rollout policy, entropies, mask; each (B, T).
        score_B: rewards as the trainer sees them (noise included), float32.
        group_B: index of the response's prompt in the batch, int64.
        generated_groups: groups sampled before filtering.
        kept_groups: groups with mixed rewards among them.
        generated_score: mean reward of all generated responses.
        generated_tokens: response tokens sampled.
    """

    prompt_B_S: Tensor
    responses: Responses
    score_B: Tensor
    group_B: Tensor
    generated_groups: int
    kept_groups: int
    generated_score: float
    generated_tokens: int

    @property
    def entropy(self) -> float:
        """Entropy of the rollout policy, mean over all response tokens, nats/token."""
        return float(self.responses.entropy_B_T.sum(1).sum() / self.responses.mask_B_T.sum(1).sum())


class Rollouts:
    """Makes the rollout batch of a step. Problems of the evaluation sets are never drawn."""

    def __init__(self, config: TinyConfig, arithmetic: ChainedArithmetic) -> None:
        self._config = config
        self._arithmetic = arithmetic
        self._held_out = {key for problems in arithmetic.evaluation_sets().values() for key in problems.fingerprints()}

    def batch(self, model: Transformer, step: int) -> Batch:
        """Sample until `data.train_batch_size` groups have mixed rewards or the generation limit is reached.

        Raises:
            RuntimeError: not one group had mixed rewards, so there is nothing to learn from.
        """
        config, n = self._config, self._config.rollout.n
        filtering = config.algorithm.filter_groups
        parts: list[tuple[Tensor, Responses, Tensor]] = []
        generated = kept = tokens = 0
        score_sum = 0.0
        for part in range(filtering.max_num_gen_batches if filtering.enable else 1):
            problems = self._problems(step, part)
            prompt_P_S = torch.from_numpy(problems.prompt_P_S)
            responses = self._sample(model, prompt_P_S, step, part)
            score_P_G = self._rewards(responses, problems, step, part).view(len(problems), n)
            mixed_P = (score_P_G != score_P_G[:, :1]).any(1)
            chosen = (mixed_P if filtering.enable else torch.ones_like(mixed_P)).nonzero()[:, 0]
            rows = (chosen[:, None] * n + torch.arange(n)).flatten()
            parts.append(
                (prompt_P_S[chosen].repeat_interleave(n, 0), _rows(responses, rows), score_P_G[chosen].flatten())
            )
            generated += len(problems)
            kept += int(mixed_P.sum())
            tokens += int(responses.mask_B_T.sum())
            score_sum += float(score_P_G.sum())
            if sum(len(score) for _, _, score in parts) >= config.data.train_batch_size * n:
                break
        limit = config.data.train_batch_size * n
        score_B = torch.cat([score for _, _, score in parts])[:limit]
        if len(score_B) == 0:
            raise RuntimeError(
                f"step {step}: none of {generated} groups had both right and wrong responses "
                f"(mean reward {score_sum / (generated * n):.3f}); {NOTHING_TO_LEARN}"
            )
        return Batch(
            prompt_B_S=torch.cat([prompt for prompt, _, _ in parts])[:limit],
            responses=_concatenate([responses for _, responses, _ in parts], limit),
            score_B=score_B,
            group_B=torch.arange(len(score_B) // n).repeat_interleave(n),
            generated_groups=generated,
            kept_groups=kept,
            generated_score=score_sum / (generated * n),
            generated_tokens=tokens,
        )

    def _problems(self, step: int, part: int) -> Problems:
        size = self._config.data.gen_batch_size if self._filters else self._config.data.train_batch_size
        generator = numpy_generator(self._config.seed, Purpose.PROBLEMS, step, part)
        fewest, most = self._config.tiny.task.operations
        problems = self._arithmetic.draw(2 * size, (fewest, most), generator)
        allowed = [row for row, key in enumerate(problems.fingerprints()) if key not in self._held_out]
        return problems.take(np.array(allowed[:size]))

    @property
    def _filters(self) -> bool:
        return self._config.algorithm.filter_groups.enable

    def _sample(self, model: Transformer, prompt_P_S: Tensor, step: int, part: int) -> Responses:
        vocabulary, rollout = self._arithmetic.vocabulary, self._config.rollout
        return sample(
            model,
            prompt_P_S,
            rollout.n,
            self._config.data.max_response_length,
            pad=vocabulary.pad,
            end=vocabulary.end,
            temperature=rollout.temperature,
            top_p=rollout.top_p,
            generator=torch_generator(self._config.seed, Purpose.SAMPLING, step, part),
        )

    def _rewards(self, responses: Responses, problems: Problems, step: int, part: int) -> Tensor:
        answer_B = torch.from_numpy(problems.answer_P).repeat_interleave(self._config.rollout.n)
        score_B = self._arithmetic.verify(responses.ids_B_T, answer_B)
        noise = self._config.data.reward_noise
        if noise.random == 0 and noise.flip == 0:
            return score_B
        generator = torch_generator(self._config.seed, Purpose.REWARD_NOISE, step, part)
        if noise.random > 0:
            score_B = (torch.rand(score_B.shape, generator=generator) < noise.random).float()
        flipped_B = torch.rand(score_B.shape, generator=generator) < noise.flip
        return torch.where(flipped_B, 1 - score_B, score_B)


def _rows(responses: Responses, rows: Tensor) -> Responses:
    return Responses(
        responses.ids_B_T[rows], responses.log_prob_B_T[rows], responses.entropy_B_T[rows], responses.mask_B_T[rows]
    )


def _concatenate(parts: list[Responses], limit: int) -> Responses:
    return Responses(
        torch.cat([part.ids_B_T for part in parts])[:limit],
        torch.cat([part.log_prob_B_T for part in parts])[:limit],
        torch.cat([part.entropy_B_T for part in parts])[:limit],
        torch.cat([part.mask_B_T for part in parts])[:limit],
    )
