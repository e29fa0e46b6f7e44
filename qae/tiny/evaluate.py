"""Evaluation on held-out problems: counts for every problem, from which every pass@k and interval comes."""

from functools import partial

import torch

from qae.embedded.seeding import Purpose, torch_generator
from qae.evaluation import ProblemResult
from qae.tiny.config import TinyConfig
from qae.tiny.task import ChainedArithmetic, Problems
from qae.tiny.transformer.model import Transformer
from qae.tiny.transformer.sampling import sample


def evaluate(
    model: Transformer,
    arithmetic: ChainedArithmetic,
    evaluation_sets: dict[str, Problems],
    config: TinyConfig,
    step: int,
) -> list[ProblemResult]:
    """Sample `val_kwargs.n` responses for each held-out problem and verify them.

    The true verifier is used, whatever reward noise the training has.
    """
    validation, vocabulary = config.rollout.val_kwargs, arithmetic.vocabulary
    results: list[ProblemResult] = []
    for part, (name, problems) in enumerate(evaluation_sets.items()):
        answer_B = torch.from_numpy(problems.answer_P).repeat_interleave(validation.n)
        responses = sample(
            model,
            torch.from_numpy(problems.prompt_P_S),
            validation.n,
            config.data.max_response_length,
            pad=vocabulary.pad,
            end=vocabulary.end,
            temperature=validation.temperature,
            top_p=validation.top_p,
            generator=torch_generator(config.seed, Purpose.EVALUATION, step, part),
            form=arithmetic.form,
            verdict=partial(arithmetic.verdict, answer_B=answer_B),
        )
        right_P = arithmetic.verify(responses.ids_B_T, answer_B).view(-1, validation.n).sum(1)
        length_P = responses.mask_B_T.sum(1).view(-1, validation.n).mean(1)
        results += [
            ProblemResult(name, f"{name}-{index:03d}", validation.n, int(right), float(length))
            for index, (right, length) in enumerate(zip(right_P.tolist(), length_P.tolist(), strict=True))
        ]
    return results
