"""By how much arms differ, on common seeds and problems.

With m differences in a table each interval has confidence 1 - .05/m (Bonferroni), so that all of them hold together
with 95 %. Which differences are separated from zero is told by Holm's adjusted p-values, which never separate less
than such intervals do, and now and then more. Two intervals of the arms' own say nothing of their difference.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis import statistics
from analysis.comparison.measures import MEASURES, Measure
from analysis.comparison.pairs import Pair
from analysis.runs.frames import ArmName, Runs
from analysis.statistics.intervals import FloatArray
from analysis.table import last_steps_of
from analysis.wording import signed
from qae import metrics

LEVEL = 1 - statistics.CONFIDENCE


@dataclass(frozen=True)
class Difference:
    """First arm minus second.

    Attributes:
        first, second: the arms.
        measure: what is compared.
        step: the last step that counts, the same for both; of pass@k that of the evaluation.
        value: mean difference over common seeds (and problems).
        low, high: ends of the interval; for numbers that a run has once they are infinite with a single seed.
        confidence: of this interval, so that all of the table hold with 95 %.
        p: two-sided; NaN with a single seed, which shows nothing of the spread between training runs.
        p_adjusted: the same by Holm's procedure over the table.
        improvement: probability that a run of the first is above a run of the second on a problem, ties half.
        improvement_low, improvement_high: its interval, of the same confidence; [0, 1] where the other is infinite.
        seeds: common training seeds.
        problems: common problems; 1 for numbers that a run has once.
        behind: runs of both arms that had not reached the step and were left out.
        seeds_needed: seeds an arm at which such a difference would be separated alone with a chance of 80 %; None
            where no number is enough on these problems or nothing can be said.
    """

    first: ArmName
    second: ArmName
    measure: Measure
    step: int
    value: float
    low: float
    high: float
    confidence: float
    p: float
    p_adjusted: float
    improvement: float
    improvement_low: float
    improvement_high: float
    seeds: int
    problems: int
    behind: int
    seeds_needed: int | None

    @property
    def is_separated(self) -> bool:
        """Whether the adjusted p is at most .05; a single seed separates nothing."""
        return self.p_adjusted <= LEVEL

    @property
    def shown(self) -> str:
        """The pair, as tables have it."""
        return f"{self.first.shown} - {self.second.shown}"

    def __str__(self) -> str:
        digits = self.measure.digits
        return f"{signed(self.value, digits)} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


def compare(
    runs: Runs, pairs: Iterable[Pair], measures: Sequence[Measure] = MEASURES, *, step: int | None = None
) -> list[Difference]:
    """Differences of all pairs in all measures; those without a common seed and problem are left out.

    A pair is compared at the last step that both arms have reached with at least one run: what came later does not
    count, runs that have not come so far are left out, and so are evaluations that not all of these runs have.

    Args:
        runs: the runs of all arms.
        pairs: first and second arm.
        measures: what is compared.
        step: compare at this step where both arms are further.
    """
    cases = [case for pair in pairs for case in cases_of(runs, pair, measures, step)]
    confidence = 1 - LEVEL / max(1, len(cases))
    found = [
        statistics.difference(
            case.of_first, case.of_second, paired=True, bound=case.measure.bound, confidence=confidence
        )
        for case in cases
    ]
    p_values = [of.p if of.seeds[0] > 1 else np.nan for of in found]
    adjusted = statistics.holm(p_values)
    return [_difference(*one) for one in zip(cases, found, p_values, adjusted, strict=True)]


@dataclass(frozen=True)
class Case:
    """What is compared, before it is known among how many.

    Attributes:
        first, second: the arms.
        measure: what is compared.
        reached: the step up to which both arms' runs count.
        step: that step, or of pass@k the last evaluation up to it that all these runs have.
        behind: runs that have not reached it and are left out.
        seeds: common seeds, in order.
        of_first, of_second: both arms' numbers, float (common seeds, problems).
    """

    first: ArmName
    second: ArmName
    measure: Measure
    reached: int
    step: int
    behind: int
    seeds: tuple[int, ...]
    of_first: FloatArray
    of_second: FloatArray


def cases_of(runs: Runs, pair: Pair, measures: Sequence[Measure], step: int | None) -> list[Case]:
    """What a pair can be compared in, as `compare` does."""
    first, second = pair
    lasts = [last_steps_of(runs, arm) for arm in pair]
    if any(last.empty for last in lasts):
        return []
    reached = min(int(last.max()) for last in lasts)
    horizon = reached if step is None else min(reached, step)
    kept = {str(run) for last in lasts for run in last.index[last >= horizon]}
    cut = _cut(runs, kept, horizon)
    behind = sum(len(runs.arms[arm]) for arm in pair) - len(kept)
    cases = []
    for measure in measures:
        tables = measure.table(cut, first), measure.table(cut, second)
        common = on_common(*tables)
        if common is not None:
            step_of = horizon if measure.step is None else measure.step(cut, first)
            seeds = tuple(int(seed) for seed in sorted(set(tables[0].index) & set(tables[1].index)))
            cases.append(Case(first, second, measure, horizon, step_of, behind, seeds, *common))
    return cases


def on_common(first: pd.DataFrame, second: pd.DataFrame) -> tuple[FloatArray, FloatArray] | None:
    """Both tables on their common seeds and problems; None where there is none. Of one seed's runs the mean counts."""
    first, second = (table.groupby(level=0).mean() for table in (first, second))
    seeds, problems = first.index.intersection(second.index), first.columns.intersection(second.columns)
    if not len(seeds) or not len(problems):
        return None
    return (
        first.loc[seeds, problems].to_numpy(dtype=np.float64),
        second.loc[seeds, problems].to_numpy(dtype=np.float64),
    )


def _cut(runs: Runs, kept: Collection[str], horizon: int) -> Runs:
    """These runs up to a step, with the evaluations that all of them have that are evaluated at all."""
    of_metrics = _validated_together(runs.metrics[runs.metrics["run"].isin(kept) & (runs.metrics["step"] <= horizon)])
    rows = runs.evaluations
    whole = statistics.whole_evaluations(rows[rows["run"].isin(kept) & (rows["step"] <= horizon)])
    evaluated = whole.groupby("step")["run"].transform("nunique")
    return Runs(
        tuple(record for record in runs.records if record.id in kept),
        of_metrics,
        whole[evaluated == whole["run"].nunique()],
        flaws=tuple(
            replace(flaw, steps=tuple(at for at in flaw.steps if at <= horizon))
            for flaw in runs.flaws
            if flaw.run in kept
        ),
    )


def _validated_together(rows: pd.DataFrame) -> pd.DataFrame:
    """Metrics without the validations that only some of the runs have logged which log them at all."""
    names = [name for name in rows["name"].unique() if str(name).startswith(metrics.VALIDATION)]
    validated = rows[rows["name"].isin(names)]
    if validated.empty:
        return rows
    runs_at = validated.groupby(["name", "step"], observed=True)["run"].transform("nunique")
    alone = runs_at < validated.groupby("name", observed=True)["run"].transform("nunique")
    return rows.drop(validated.index[alone])


def _difference(case: Case, of: statistics.Difference, p: float, p_adjusted: float) -> Difference:
    unseen = of.seeds[0] == 1 and of.problems == 1
    reach = case.measure.bound
    return Difference(
        first=case.first,
        second=case.second,
        measure=case.measure,
        step=case.step,
        value=of.value,
        low=-reach if unseen else max(of.low, -reach),
        high=reach if unseen else min(of.high, reach),
        confidence=of.confidence,
        p=p,
        p_adjusted=float(p_adjusted),
        improvement=of.improvement,
        improvement_low=0.0 if unseen else of.improvement_low,
        improvement_high=1.0 if unseen else of.improvement_high,
        seeds=of.seeds[0],
        problems=of.problems,
        behind=case.behind,
        seeds_needed=statistics.seeds_needed(of),
    )
