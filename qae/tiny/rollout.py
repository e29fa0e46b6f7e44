"""The transformer's rollout batch: problems, responses and the verifier's rewards."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from qae.embedded.batch import Batch, Generated, Responses, noisy, prompts_a_part, sampled
from qae.embedded.seeding import Purpose, numpy_generator, torch_generator
from qae.tiny.config import TinyConfig
from qae.tiny.task import ChainedArithmetic, Problems
from qae.tiny.transformer.model import Transformer
from qae.tiny.transformer.sampling import sample


class Rollouts:
    """Makes the rollout batch of a step. Problems of the evaluation sets are never drawn."""

    def __init__(self, config: TinyConfig, arithmetic: ChainedArithmetic) -> None:
        self._config = config
        self._arithmetic = arithmetic
        self._held_out = {key for problems in arithmetic.evaluation_sets().values() for key in problems.fingerprints()}

    def batch(self, model: Transformer, step: int) -> Batch:
        """Sample as `qae.embedded.batch.sampled` says.

        Raises:
            RuntimeError: not one group had mixed rewards, so there is nothing to learn from.
        """
        return sampled(self._config, step, lambda part: self._generated(model, step, part))

    def _generated(self, model: Transformer, step: int, part: int) -> Generated:
        problems = self._problems(step, part)
        prompt_P_S = torch.from_numpy(problems.prompt_P_S)
        n = self._config.rollout.n
        answer_B = torch.from_numpy(problems.answer_P).repeat_interleave(n)
        responses = self._sample(model, prompt_P_S, answer_B, step, part)
        right_B = self._arithmetic.verify(responses.ids_B_T, answer_B)
        score_B = noisy(right_B, self._config, step, part)
        return Generated(prompt_P_S.repeat_interleave(n, 0), responses, score_B)

    def _problems(self, step: int, part: int) -> Problems:
        size = prompts_a_part(self._config)
        generator = numpy_generator(self._config.seed, Purpose.PROBLEMS, step, part)
        fewest, most = self._config.tiny.task.operations
        problems = self._arithmetic.draw(2 * size, (fewest, most), generator)
        allowed = [row for row, key in enumerate(problems.fingerprints()) if key not in self._held_out]
        return problems.take(np.array(allowed[:size]))

    def _sample(self, model: Transformer, prompt_P_S: Tensor, answer_B: Tensor, step: int, part: int) -> Responses:
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
            form=self._arithmetic.form,
            verdict=partial(self._arithmetic.verdict, answer_B=answer_B),
        )
