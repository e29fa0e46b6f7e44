"""What a search judges runs by: numbers read from run directories."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qae import metrics
from qae.checks import is_number, member
from qae.errors import ConfigError
from qae.pass_at_k import pass_at_k
from qae.run_directory import RunDirectory, read_evaluations, read_metrics

_PASS = re.compile(r"pass_at_([1-9]\d*)")
_NEGATIVE_PEAK = "negative_peak_entropy"


class MeasureError(ValueError):
    """A run does not have the number that is asked for; its text is one sentence."""


class EntropyMeasure(StrEnum):
    """What a bound can be put on; of the entropies of all training steps, in nats a token."""

    PEAK = "peak_entropy"
    LOWEST = "lowest_entropy"
    FINAL = "final_entropy"  # mean of the last `FINAL_STEPS`

    def of(self, directory: RunDirectory) -> float:
        """The number of a run.

        Raises:
            MeasureError: no step has an entropy.
        """
        lines = read_metrics(directory).records
        found = [value for line in lines if isinstance(value := line.get(metrics.ENTROPY.name), float)]
        if not found:
            raise MeasureError(f"run {directory.run_id} has no entropy on disk")
        match self:
            case EntropyMeasure.PEAK:
                return max(found)
            case EntropyMeasure.LOWEST:
                return min(found)
        final = found[-metrics.FINAL_STEPS :]
        return sum(final) / len(final)


@dataclass(frozen=True)
class Objective:
    """A number to maximise.

    Attributes:
        name: as in `search.objectives`.
        k: of pass@k; None for minus the peak entropy.
    """

    name: str
    k: int | None

    @classmethod
    def named(cls, name: object) -> "Objective":
        """The objective of a name.

        Raises:
            ConfigError: there is none.
        """
        if name == _NEGATIVE_PEAK:
            return cls(_NEGATIVE_PEAK, None)
        if not isinstance(name, str) or not (match := _PASS.fullmatch(name)):
            raise ConfigError("search.objectives", name, f"give pass_at_1, pass_at_16 or {_NEGATIVE_PEAK}")
        return cls(name, int(match[1]))

    def of(self, directory: RunDirectory) -> float:
        """The number of a finished run.

        Raises:
            MeasureError: the run lacks the evaluation or the samples.
        """
        if self.k is None:
            return -EntropyMeasure.PEAK.of(directory)
        return float(np.mean(last_pass(directory, self.k)))


@dataclass(frozen=True)
class Bound:
    """A constraint: a measure stays between two ends; None: that end is open."""

    measure: EntropyMeasure
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: object, ends: object) -> "Bound":
        """Read one entry of `search.constraints`.

        Raises:
            ConfigError: no such measure, or no two ends.
        """
        measure = member(EntropyMeasure, "search.constraints", name)
        if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
            raise _no_ends(measure, ends)
        low, high = (_end(measure, ends, end) for end in ends)
        if (low is None and high is None) or (low is not None and high is not None and not low < high):
            raise _no_ends(measure, ends)
        return cls(measure, low, high)

    def violations(self, value: float) -> list[float]:
        """How far the value lies beyond each end, in Optuna's sense: above 0 is too far."""
        below = [] if self.low is None else [self.low - value]
        return below + ([] if self.high is None else [value - self.high])


def last_pass(directory: RunDirectory, k: int) -> Sequence[float]:
    """pass@k of every problem, in the problems' order, at a run's last evaluation.

    Raises:
        MeasureError: the run was never evaluated, or a problem has fewer than k samples.
    """
    by_step = pass_by_step(directory, k)
    if not by_step:
        raise MeasureError(f"run {directory.run_id} was never evaluated; set trainer.test_freq")
    return by_step[max(by_step)]


def pass_by_step(directory: RunDirectory, k: int) -> Mapping[int, Sequence[float]]:
    """pass@k of every problem, in the problems' order, at each step with a whole evaluation.

    Raises:
        MeasureError: a problem has fewer than k samples.
    """
    by_step: dict[int, dict[tuple[str, str], tuple[int, int]]] = {}
    for line in read_evaluations(directory).records:
        step, n, c = line.get("step"), line.get("n"), line.get("c")
        if isinstance(step, int) and isinstance(n, int) and isinstance(c, int):
            by_step.setdefault(step, {})[str(line.get("data_set")), str(line.get("problem"))] = (n, c)
    problems = max((len(found) for found in by_step.values()), default=0)
    values: dict[int, Sequence[float]] = {}
    for step, found in by_step.items():
        if len(found) == problems:
            n_P, c_P = np.array([found[problem] for problem in sorted(found)]).T
            if n_P.min() < k:
                fix = f"pass@{k} needs as many samples a problem, run {directory.run_id} has {n_P.min()}"
                raise MeasureError(f"{fix}; set actor_rollout_ref.rollout.val_kwargs.n")
            values[step] = [float(value) for value in pass_at_k(n_P, c_P, k)]
    return values


def _end(measure: EntropyMeasure, ends: object, end: object) -> float | None:
    if end is None:
        return None
    if not is_number(end) or not math.isfinite(end):
        raise _no_ends(measure, ends)
    return float(end)


def _no_ends(measure: EntropyMeasure, ends: object) -> ConfigError:
    return ConfigError(
        f"search.constraints.{measure}", ends, "give the lowest and the highest value; null leaves one open"
    )
