"""Arms against arms on the same seeds and problems, up to the same step: differences that allow for how many there are.

With m differences in a table each interval has confidence 1 - .05/m (Bonferroni), so that all of them hold together
with 95 %. Which differences are separated from zero is told by Holm's adjusted p-values, which never separate less
than such intervals do, and now and then more. Two intervals of the arms' own say nothing of their difference.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from rich import box

from analysis import statistics
from analysis.runs.frames import ArmName, Runs
from analysis.statistics.intervals import FloatArray
from analysis.table import final_means, last_common_evaluation, last_steps_of, whole_counts
from analysis.wording import signed
from qae import metrics
from qae.literal import LiteralTable
from qae.text import markdown_table

LEVEL = 1 - statistics.CONFIDENCE
COLUMNS = ("difference", "measure", "value", "p", "improvement", "seeds", "problems", "step", "seeds needed")
# In the order in which a narrow terminal goes without them.
LEAST = ("problems", "seeds needed", "step", "improvement", "p", "seeds", "value", "measure")
_NONE = "—"
_PASS_AT = re.compile(r"pass@(?P<k>[1-9]\d*)")
Pair = tuple[ArmName, ArmName]


@dataclass(frozen=True)
class Measure:
    """A number that a run ends with, or one a problem.

    Attributes:
        label: its name, with its unit.
        digits: shown.
        table: of an arm's runs: index seed, a column a problem or a single one; empty where there is none.
        bound: the largest difference that can be.
    """

    label: str
    digits: int
    table: Callable[[Runs, ArmName], pd.DataFrame]
    bound: float = np.inf

    @property
    def name(self) -> str:
        """The label without its unit."""
        return self.label.partition(" (")[0]


@dataclass(frozen=True)
class Difference:
    """First arm minus second.

    Attributes:
        first, second: the arms.
        measure: what is compared.
        step: the last step that counts, the same for both.
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


def of_metric(metric: metrics.Metric, label: str, digits: int, reduce: Callable[[pd.DataFrame], object]) -> Measure:
    """A number made of a metric's steps: `reduce` maps steps × runs to a number a run; NaN leaves a run out."""

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        series = runs.series(arm, metric.name)
        if series.empty:
            return pd.DataFrame()
        values = pd.Series(reduce(series), dtype=float).rename(index=_seeds(runs, arm))
        return values.dropna().to_frame("value")

    return Measure(label, digits, table, 1.0 if metric.unit == "fraction" else np.inf)


def final_of(metric: metrics.Metric, label: str, digits: int) -> Measure:
    """A metric's mean over the last steps of a run (`analysis.table.final_means`); NaN leaves a run out."""

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        return final_means(runs, arm, metric).rename(index=_seeds(runs, arm)).dropna().to_frame("value")

    return Measure(label, digits, table)


def of_pass_at(k: int) -> Measure:
    """pass@k by problem, at the last whole evaluation that the arm's runs share.

    Runs of a source without counts have the number that they logged, at the last step at which all of them did.
    """

    def table(runs: Runs, arm: ArmName) -> pd.DataFrame:
        if runs.evaluations.empty:
            logged = runs.series(arm, metrics.pass_at(k).name).dropna()
            return (
                logged.tail(1).T.set_axis(["value"], axis=1).rename(index=_seeds(runs, arm)) if len(logged) else logged
            )
        counts = whole_counts(runs, arm)
        step = last_common_evaluation(counts)
        rows = counts[counts["step"] == step]
        if rows.empty or (rows["n"] < k).any():
            return pd.DataFrame()
        return statistics.pass_at_k_table(rows, step, k).rename(index=_seeds(runs, arm))

    return Measure(f"pass@{k}", 3, table, bound=1.0)


def _level(column: "pd.Series[float]") -> float:
    return statistics.shape(column).level if column.notna().any() else np.nan


PASS_1, PASS_16 = of_pass_at(1), of_pass_at(16)
ENTROPY_FINAL = final_of(metrics.ENTROPY, "final entropy (nats/token)", 2)
ENTROPY_PEAK = of_metric(metrics.ENTROPY, "peak entropy (nats/token)", 2, lambda series: series.max())
LENGTH_FINAL = final_of(metrics.LENGTH_MEAN, "final length (tokens)", 1)
ENTROPY_LEVEL = of_metric(metrics.ENTROPY, "mean entropy (nats/token)", 2, lambda series: series.apply(_level))
MEASURES = (PASS_1, PASS_16, ENTROPY_FINAL, ENTROPY_PEAK, LENGTH_FINAL)


def measures_of(runs: Runs, names: Iterable[str] = ()) -> dict[str, Measure]:
    """What these runs can be compared in, by name: `MEASURES`, the mean entropy, and each pass@k among `names`.

    Raises:
        ValueError: a pass@k with more samples than a problem of these runs has.
    """
    known = {measure.name: measure for measure in (*MEASURES, ENTROPY_LEVEL)}
    samples = int(runs.evaluations["n"].min()) if len(runs.evaluations) else None
    for name in names:
        found = _PASS_AT.fullmatch(name)
        if found is None:
            continue
        if samples is not None and int(found["k"]) > samples:
            raise ValueError(f"{name} needs {found['k']} samples a problem; these runs have {samples}")
        known[name] = of_pass_at(int(found["k"]))
    return known


def against_the_mean(runs: Runs) -> list[Pair]:
    """Each other baseline against the mean of the same variant."""
    means = {arm.variant: arm for arm in runs.arms if arm.baseline == "mean"}
    return [(arm, means[arm.variant]) for arm in runs.arms if arm.variant in means and arm != means[arm.variant]]


def against_the_plain_variant(runs: Runs) -> list[Pair]:
    """Each variant (the regularizer, most often) against the plain one, or the first, of the same baseline."""
    first: dict[str, ArmName] = {}
    for arm in sorted(runs.arms, key=lambda arm: arm.variant != ""):
        first.setdefault(arm.baseline, arm)
    return [(arm, first[arm.baseline]) for arm in runs.arms if arm != first[arm.baseline]]


def default_pairs(runs: Runs) -> list[Pair]:
    """Baselines against the mean and variants against the plain one; where that is nothing, all against the first."""
    pairs = list(dict.fromkeys([*against_the_mean(runs), *against_the_plain_variant(runs)]))
    return pairs or [pair for arm in list(runs.arms)[:1] for pair in against(runs, arm)]


def against(runs: Runs, second: ArmName) -> list[Pair]:
    """Every other arm against one."""
    return [(arm, second) for arm in runs.arms if arm != second]


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


def frame(differences: Sequence[Difference]) -> pd.DataFrame:
    """For people: a row a pair, a column a measure; a star where the difference is separated from zero."""
    rows: dict[str, dict[str, object]] = {}
    for difference in differences:
        row = rows.setdefault(difference.shown, {"seeds": difference.seeds})
        row[difference.measure.label] = f"{difference}{' *' if difference.is_separated else ''}"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference").fillna("—")


def records(differences: Sequence[Difference]) -> pd.DataFrame:
    """For CSV and JSON: a row a difference, a column a number."""
    rows = [
        {
            **{name: value for name, value in vars(difference).items() if name != "measure"},
            "first": str(difference.first),
            "second": str(difference.second),
            "measure": difference.measure.name,
            "separated": difference.is_separated,
        }
        for difference in differences
    ]
    columns = ["first", "second", "measure"]
    table = pd.DataFrame(rows, columns=[*columns, *(name for name in (rows[0] if rows else ()) if name not in columns)])
    return table.astype({"seeds_needed": "Int64"}) if rows else table


def cells(differences: Sequence[Difference]) -> list[tuple[str, ...]]:
    """Rows under `COLUMNS`."""
    return [
        (
            difference.shown,
            difference.measure.label,
            f"{difference}{' *' if difference.is_separated else ''}",
            _p_value(difference.p_adjusted),
            f"{difference.improvement:.2f} [{difference.improvement_low:.2f}, {difference.improvement_high:.2f}]",
            f"{difference.seeds}" + (f" ({difference.behind} runs behind)" if difference.behind else ""),
            str(difference.problems) if difference.problems > 1 else _NONE,
            str(difference.step),
            _NONE if difference.seeds_needed is None else str(difference.seeds_needed),
        )
        for difference in differences
    ]


def rich_table(differences: Sequence[Difference]) -> LiteralTable:
    """The table for a terminal."""
    table = LiteralTable(title="Differences", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:2] else "right", overflow="fold")
    for row in cells(differences):
        table.add_row(*row)
    return table


def markdown(differences: Sequence[Difference]) -> str:
    """The table for a document, with its caption."""
    return f"{markdown_table(COLUMNS, cells(differences), text_columns=2)}\n\n{caption(differences)}"


def caption(differences: Sequence[Difference]) -> str:
    """What the numbers under `COLUMNS` are."""
    if not differences:
        return frame_caption(differences)
    return (
        f"{frame_caption(differences)} improvement: probability that a run of the first is above one of the second, "
        "ties half. seeds needed: an arm, for such a difference to be seen alone with a chance of 80 %."
    )


def frame_caption(differences: Sequence[Difference]) -> str:
    """What the numbers of `frame` are."""
    if not differences:
        return "No two arms to compare have a seed in common."
    return (
        f"Mean differences on the same seeds and, for pass@k, the same problems, up to a step that both arms have "
        f"reached. [ ]: {differences[0].confidence:.2%} intervals, so that all {len(differences)} hold together with "
        "95 %: bootstrap over seeds and problems for pass@k where there are counts, Student's t over pairs of seeds "
        "for the others. *: p, two-sided and adjusted for their number by Holm's procedure, is at most .05; none with "
        "one seed."
    )


@dataclass(frozen=True)
class Case:
    """What is compared, before it is known among how many: both arms' numbers, float (common seeds, problems)."""

    first: ArmName
    second: ArmName
    measure: Measure
    step: int
    behind: int
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
        common = _common(measure.table(cut, first), measure.table(cut, second))
        if common is not None:
            cases.append(Case(first, second, measure, horizon, behind, *common))
    return cases


def _cut(runs: Runs, kept: Collection[str], horizon: int) -> Runs:
    """These runs up to a step, with the evaluations that all of them have that are evaluated at all."""
    of_metrics = runs.metrics[runs.metrics["run"].isin(kept) & (runs.metrics["step"] <= horizon)]
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


def _common(first: pd.DataFrame, second: pd.DataFrame) -> tuple[FloatArray, FloatArray] | None:
    """Both tables on their common seeds and problems; None where there is none. Of one seed's runs the mean counts."""
    first, second = (table.groupby(level=0).mean() for table in (first, second))
    seeds, problems = first.index.intersection(second.index), first.columns.intersection(second.columns)
    if not len(seeds) or not len(problems):
        return None
    return (
        first.loc[seeds, problems].to_numpy(dtype=np.float64),
        second.loc[seeds, problems].to_numpy(dtype=np.float64),
    )


def _seeds(runs: Runs, arm: ArmName) -> dict[str, int]:
    return {record.id: record.seed for record in runs.arms[arm]}


def _p_value(p: float) -> str:
    if np.isnan(p):
        return _NONE
    return "< .001" if p < 0.001 else f"{p:.3f}"
