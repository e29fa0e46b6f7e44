"""What finished runs with a K show, beside the mean of the same variant."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis import comparison, statistics
from analysis.comparison import PASS_1, Difference, Measure
from analysis.runs import ArmName, Runs
from analysis.statistics import Estimate
from analysis.table import last_steps_of


@dataclass(frozen=True)
class Measured:
    """A baseline that has been trained.

    Attributes:
        arm: the mean, or a K.
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
        baselines: the mean where it is among them, then K ascending.
        differences: each of the others minus the rule's K, on the same seeds and problems, intervals that hold
            together; empty where that K is not among them.
    """

    baselines: tuple[Measured, ...]
    differences: tuple[Difference, ...]

    @property
    def best(self) -> Measured | None:
        """The K with the highest value; None where no K has been trained."""
        of_k = [found for found in self.baselines if found.arm.k is not None]
        return max(of_k, key=lambda found: found.value.value, default=None)

    def against(self, arm: ArmName) -> Difference | None:
        """The arm minus the rule's K; None where they cannot be compared."""
        return next((difference for difference in self.differences if difference.first == arm), None)


def results(runs: Runs, variant: str, rule_k: float, measure: Measure = PASS_1) -> Results:
    """The results of a variant's arms that reached the last step of the variant.

    Args:
        runs: the runs of all arms.
        variant: `ArmName.variant` of the mean that is advised on.
        rule_k: the K that the others are compared with.
        measure: what counts, higher is better.
    """
    arms = [arm for arm in runs.arms if arm.variant == variant and is_of_mean_or_k(arm)]
    steps = {arm: int(lasts.max()) for arm in arms if len(lasts := last_steps_of(runs, arm))}
    final = [arm for arm, step in steps.items() if step == max(steps.values())]
    found = [(arm, _estimate(runs, arm, measure)) for arm in final]
    baselines = tuple(Measured(arm, value, steps[arm]) for arm, value in found if value is not None)
    rule = next((of.arm for of in baselines if of.arm.k == rule_k), None)
    pairs = [] if rule is None else [(of.arm, rule) for of in baselines if of.arm != rule]
    return Results(baselines, tuple(comparison.compare(runs, pairs, (measure,))))


def is_of_mean_or_k(arm: ArmName) -> bool:
    """Whether the baseline is the mean or a plain K-quantile, and no mask."""
    return arm.baseline == "mean" or (arm.k is not None and arm.baseline.startswith("K = "))


def separated_best(differences: Sequence[Difference]) -> Difference | None:
    """The largest difference of a K that is separated from zero and positive; None where there is none."""
    better = [one for one in differences if one.is_separated and one.value > 0 and one.first.k is not None]
    return max(better, key=lambda one: one.value, default=None)


def _estimate(runs: Runs, arm: ArmName, measure: Measure) -> Estimate | None:
    lasts = last_steps_of(runs, arm)
    ended = set(lasts.index[lasts == lasts.max()])
    table = measure.table(runs.only(record for record in runs.arms[arm] if record.id in ended), arm)
    return statistics.bootstrap_interval(table.to_numpy(), bounds=(0.0, 1.0)) if table.size else None
