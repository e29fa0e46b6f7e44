"""What finished and running runs say about a setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from qae.run_directory import RunDirectory
from sweeps.search.measures import MeasureError, pass_by_step
from sweeps.search.settings import SearchSettings

_Stamp = tuple[int, int]


@dataclass(frozen=True)
class Verdict:
    """A setting's numbers, means over its runs.

    Attributes:
        values: one an objective.
        constraints: one a bound, above 0 where it is violated.
    """

    values: list[float]
    constraints: list[float]


def verdict(runs: Sequence[RunDirectory], settings: SearchSettings) -> Verdict:
    """Judge a setting by its finished runs.

    Raises:
        MeasureError: a run lacks a number.
    """
    values = [float(np.mean([objective.of(run) for run in runs])) for objective in settings.objectives]
    constraints: list[float] = []
    for bound in settings.constraints:
        constraints += bound.violations(float(np.mean([bound.measure.of(run) for run in runs])))
    return Verdict(values, constraints)


def is_worse(ours: Sequence[float], theirs: Sequence[float], level: float) -> bool:
    """Whether a setting is worse than another one by Wilcoxon's signed-rank test over problems of the same seeds.

    The test knows nothing of the luck of a seed, so `level` is a threshold for saving runs and no error rate.

    Args:
        ours: pass@k a problem and seed.
        theirs: the same of the other setting, in the same order.
        level: of the one-sided test.

    Raises:
        MeasureError: they were evaluated on different numbers of problems.
    """
    if len(ours) != len(theirs):
        raise MeasureError("two settings were evaluated on different problems")
    difference = np.asarray(ours) - np.asarray(theirs)
    if not difference.mean() < 0:
        return False
    return float(wilcoxon(difference, alternative="less", zero_method="zsplit").pvalue) < level


class Evaluations:
    """Evaluations of runs under way; a file is read again only where it has grown.

    Args:
        k: of pass@k.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._known: dict[str, tuple[_Stamp, Mapping[int, float]]] = {}

    def common(self, runs: Sequence[RunDirectory]) -> dict[int, float]:
        """Mean pass@k over the runs at every step after the start that all of them were evaluated at.

        Raises:
            MeasureError: a problem has fewer than k samples.
        """
        found = [self._means(run) for run in runs]
        steps = set.intersection(*(set(means) for means in found)) if found else set()
        return {step: float(np.mean([means[step] for means in found])) for step in sorted(steps) if step > 0}

    def _means(self, run: RunDirectory) -> Mapping[int, float]:
        try:
            stat = run.evaluation.stat()
        except FileNotFoundError:
            return {}
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = self._known.get(run.run_id)
        if known is None or known[0] != stamp:
            means = {step: float(np.mean(values)) for step, values in pass_by_step(run, self._k).items()}
            known = (stamp, means)
            self._known[run.run_id] = known
        return known[1]
