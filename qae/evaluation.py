"""Evaluation results: counts a problem, and what a step's metrics say of them. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qae import metrics
from qae.pass_at_k import pass_at_k

_REPORTED_K = (1, 16)


@dataclass(frozen=True)
class ProblemResult:
    """Samples of one held-out problem: how many there were, how many were right, their mean length in tokens."""

    data_set: str
    problem: str
    n: int
    c: int
    mean_length: float


def summarise(results: Sequence[ProblemResult]) -> dict[str, float]:
    """pass@1, pass@16 (where n allows it) and mean length, for each data set and over all problems."""
    names = list(dict.fromkeys(result.data_set for result in results))
    parts = {name: [result for result in results if result.data_set == name] for name in names}
    summary: dict[str, float] = {}
    for name, part in {**parts, metrics.VAL_OVERALL: list(results)}.items():
        n = np.array([result.n for result in part])
        c = np.array([result.c for result in part])
        for k in _REPORTED_K:
            if k <= n.min():
                summary[metrics.pass_at(k, name).name] = float(pass_at_k(n, c, k).mean())
        summary[metrics.validation_length(name).name] = float(np.mean([result.mean_length for result in part]))
    return summary
