"""What finished runs of every baseline show, beside the mean of the same variant."""

from dataclasses import dataclass

from analysis import comparison, statistics
from analysis.comparison import PASS_1, Difference, Measure
from analysis.runs.frames import ArmName, Runs
from analysis.statistics import Estimate
from analysis.table import last_steps_of


@dataclass(frozen=True)
class Measured:
    """A baseline that has been trained.

    Attributes:
        arm: its arm.
        value: pass@1 where its runs end, with its 95 % interval over seeds and problems.
        step: the last step of its runs.
    """

    arm: ArmName
    value: Estimate
    step: int


@dataclass(frozen=True)
class Results:
    """The baselines of a variant that have been trained as far as any of them.

    Attributes:
        baselines: in the order of the arms.
        differences: each of the others minus the mean, on the same seeds and problems, with intervals that hold
            together; empty where the mean is not among them.
    """

    baselines: tuple[Measured, ...]
    differences: tuple[Difference, ...]

    @property
    def best(self) -> Measured | None:
        """The baseline with the highest value; None where none has been evaluated."""
        return max(self.baselines, key=lambda found: found.value.value, default=None)


def results(runs: Runs, mean: ArmName, measure: Measure = PASS_1) -> Results:
    """The results of a variant's arms that reached the last step of the variant.

    Args:
        runs: the runs of all arms.
        mean: the arm of the mean; the others of its variant are compared with it.
        measure: what counts, higher is better.
    """
    steps = {
        arm: int(lasts.max())
        for arm in runs.arms
        if arm.variant == mean.variant and len(lasts := last_steps_of(runs, arm))
    }
    final = [arm for arm, step in steps.items() if step == max(steps.values())]
    found = [(arm, _estimate(runs, arm, measure)) for arm in final]
    baselines = tuple(Measured(arm, value, steps[arm]) for arm, value in found if value is not None)
    others = [of.arm for of in baselines if of.arm != mean]
    pairs = [(other, mean) for other in others] if len(others) < len(baselines) else []
    return Results(baselines, tuple(comparison.compare(runs, pairs, (measure,))))


def is_quantile(arm: ArmName) -> bool:
    """Whether the baseline is a plain K-quantile, and no mask."""
    return arm.k is not None and arm.baseline.startswith("K = ")


def _estimate(runs: Runs, arm: ArmName, measure: Measure) -> Estimate | None:
    lasts = last_steps_of(runs, arm)
    ended = set(lasts.index[lasts == lasts.max()])
    table = measure.table(runs.only(record for record in runs.arms[arm] if record.id in ended), arm)
    return statistics.bootstrap_interval(table.to_numpy(), bounds=(0.0, 1.0)) if table.size else None
