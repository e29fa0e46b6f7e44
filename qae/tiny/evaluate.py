"""Evaluation on held-out problems: counts for every problem, from which every pass@k and interval comes."""

from dataclasses import dataclass

import numpy as np
import torch

from qae import metrics
from qae.pass_at_k import pass_at_k
from qae.tiny.config import TinyConfig
from qae.tiny.model import Transformer
from qae.tiny.sampling import sample
from qae.tiny.seeding import Purpose, torch_generator
from qae.tiny.task import ChainedArithmetic, Problems

_REPORTED_K = (1, 16)


@dataclass(frozen=True)
class ProblemResult:
    """Samples of one held-out problem: how many there were, how many were right, their mean length in tokens."""

    data_set: str
    problem: str
    n: int
    c: int
    mean_length: float


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
        )
        answer_B = torch.from_numpy(problems.answer_P).repeat_interleave(validation.n)
        right_P = arithmetic.verify(responses.ids_B_T, answer_B).view(-1, validation.n).sum(1)
        length_P = responses.mask_B_T.sum(1).view(-1, validation.n).mean(1)
        results += [
            ProblemResult(name, f"{name}-{index:03d}", validation.n, int(right), float(length))
            for index, (right, length) in enumerate(zip(right_P.tolist(), length_P.tolist(), strict=True))
        ]
    return results


def summarise(results: list[ProblemResult]) -> dict[str, float]:
    """pass@1, pass@16 (where n allows it) and mean length, for each data set and over all problems."""
    names = list(dict.fromkeys(result.data_set for result in results))
    parts = {name: [result for result in results if result.data_set == name] for name in names}
    summary: dict[str, float] = {}
    for name, part in {**parts, metrics.VAL_OVERALL: results}.items():
        n = np.array([result.n for result in part])
        c = np.array([result.c for result in part])
        for k in _REPORTED_K:
            if k <= n.min():
                summary[metrics.pass_at(k, name).name] = float(pass_at_k(n, c, k).mean())
        summary[metrics.validation_length(name).name] = float(np.mean([result.mean_length for result in part]))
    return summary
