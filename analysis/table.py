"""The result table: one row an arm, every number with its interval and the sizes it rests on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd
from rich import box

from analysis import statistics
from analysis.runs.flaws import undefined_steps
from analysis.runs.frames import ArmName, RunRecord, Runs
from analysis.statistics import Estimate, Mean
from analysis.wording import interval, seeds_an_arm, some_of, span
from qae import metrics
from qae.console.literal import LiteralTable
from qae.console.text import brief, markdown_sentence, markdown_table
from qae.metrics import FINAL_STEPS
from qae.run_directory import RunStatus

SHOWN_NAMES = 4
COLUMNS = ("arm", "seeds", "step", "entropy final", "entropy peak", "pass@1", "pass@16", "zero adv.", "length")
# In the order in which a narrow terminal goes without them.
LEAST = ("length", "zero adv.", "entropy peak", "step", "pass@16", "entropy final", "seeds", "pass@1")
_MISSING = "—"


@dataclass(frozen=True)
class ArmResult:
    """What came out of an arm, over its runs that have reached the arm's last step.

    Attributes:
        arm: its name.
        seeds: runs that reached the last step; every number rests on these.
        runs: runs of the arm, whatever became of them.
        step: the last global step on disk of any of them.
        entropy_final: policy entropy, mean of the last five steps, nats/token; None before the first.
        entropy_peak: highest entropy of any step, mean over seeds.
        evaluated: step of the last evaluation that all those runs have; -1 where there is none.
        pass_1, pass_16: at that evaluation, in runs without counts a problem as they have logged it (one problem);
            None where there is none or n is too small.
        samples: samples a problem at that evaluation; 0 where there is none.
        zero_share: share of zero-advantage responses, mean over steps.
        length: response length in training, mean of the last five steps, tokens.
    """

    arm: str
    seeds: int
    runs: int
    step: int
    entropy_final: Mean | None
    entropy_peak: Mean | None
    evaluated: int
    pass_1: Estimate | None
    pass_16: Estimate | None
    samples: int
    zero_share: Mean | None
    length: Mean | None


@dataclass(frozen=True)
class Results:
    """The table's rows and what its reader must know beside them.

    Attributes:
        rows: one result per arm; arms of which nothing is on disk yet are left out.
        notes: sentences on runs that are not in the numbers, and on what could not be read.
    """

    rows: tuple[ArmResult, ...]
    notes: tuple[str, ...]


def summarise(runs: Runs) -> Results:
    """Results of every arm that has at least a step or an evaluation on disk."""
    rows: list[ArmResult] = []
    notes: list[str] = []
    for arm, records in runs.arms.items():
        last = last_steps_of(runs, arm)
        if last.empty:
            logged = names_logged(runs, arm)
            why = f"no {metrics.ENTROPY.name} and no counts a problem, but {logged}" if logged else "nothing"
            notes += [f"{arm.shown}: {why} is on disk{'' if logged else ' yet'} ({_standing(records)})."]
            continue
        step = int(last.max())
        reached = [str(run) for run in last.index[last == step]]
        rows.append(_result(runs, arm, step, reached, len(records)))
        notes += _failed(arm, [record for record in records if record.id in reached])
        behind = [record for record in records if record.id not in reached]
        if behind:
            notes.append(f"{arm.shown}: {len(behind)} of {len(records)} runs not in the numbers ({_standing(behind)}).")
    return Results(tuple(rows), (*notes, *_evaluated_earlier(rows), *runs.all_notes))


def names_logged(runs: Runs, arm: ArmName) -> str:
    """The first names of what an arm's runs have logged: "loss, reward, …"; "" where that is nothing."""
    own = runs.metrics[runs.metrics["run"].isin([record.id for record in runs.arms[arm]])]
    names = sorted(map(str, own["name"].unique()))
    return brief(", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else ""))


def rich_table(results: Results) -> LiteralTable:
    """The table for a terminal."""
    table = LiteralTable(title="Results", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "arm" else "right", overflow="fold")
    for result in results.rows:
        table.add_row(*_cells(result, "\n"))
    return table


def markdown(results: Results) -> str:
    """The table for a document, with its caption and notes."""
    rows = markdown_table(COLUMNS, (_cells(result, " ") for result in results.rows), text_columns=1)
    return "\n\n".join([rows, caption(results), *map(markdown_sentence, results.notes)])


def frame(results: Results) -> pd.DataFrame:
    """The table with one column per number, for CSV and JSON."""
    return pd.json_normalize([_known(result) for result in results.rows], sep=".")


def _known(result: ArmResult) -> dict[str, object]:
    """A row without what is not known: numbers that there are not, and the interval over seeds of a single one."""
    known = {key: value for key, value in asdict(result).items() if value is not None}
    for name, value in known.items():
        if isinstance(getattr(result, name), Mean) and value["seeds"] == 1:
            known[name] = {key: of for key, of in value.items() if key not in ("low", "high")}
    return known


def caption(results: Results) -> str:
    """What the numbers are and what they rest on."""
    return (
        f"n = {seeds_an_arm(row.seeds for row in results.rows)}; pass@k: {_of_pass_at_k(results.rows)}. Entropy "
        f"(nats/token) and length (tokens, in training): mean of the last {FINAL_STEPS} steps; peak: highest step; "
        "zero adv.: share of responses with advantage 0, mean over steps. [ ]: 95 % intervals, for pass@k by bootstrap "
        "over problems and seeds, for the others Student t over seeds (none with one seed)."
    )


def _of_pass_at_k(rows: Sequence[ArmResult]) -> str:
    """What pass@k rests on: counts a problem, what runs have logged, or nothing."""
    counted = [(row.samples, row.pass_1.problems) for row in rows if row.pass_1 is not None and row.samples]
    samples, problems = (span(sizes) for sizes in zip(*counted, strict=True)) if counted else ("", "")
    logged = any((row.pass_1 or row.pass_16) is not None and not row.samples for row in rows)
    parts = [f"last evaluation, {problems} held-out problems with {samples} samples each"] if counted else []
    parts += (
        ["as logged in the last evaluation, Student t over seeds, where there are no counts a problem"]
        if logged
        else []
    )
    return "; ".join(parts) or "no run has any"


def _failed(arm: ArmName, counted: Sequence[RunRecord]) -> list[str]:
    """That runs in the numbers have failed on the way; what a collapse or a guard has ended is its own result."""
    failed = [record for record in counted if record.status is RunStatus.FAILED and not record.ended_early]
    if not failed:
        return []
    ends = ", ".join(f"seed {record.seed} at step {record.step}{_of(record.total_steps)}" for record in failed)
    return [f"{arm.shown}: {len(failed)} of {len(counted)} runs in the numbers failed on the way ({ends})."]


def _of(total_steps: int) -> str:
    return f" of {total_steps}" if total_steps else ""


def _evaluated_earlier(rows: Sequence[ArmResult]) -> list[str]:
    """Of which arms pass@k is older than the rest of the row."""
    earlier = [f"{brief(row.arm)} (step {row.evaluated})" for row in rows if 0 <= row.evaluated < row.step]
    return [f"pass@k is of an evaluation before the row's step in {', '.join(earlier)}."] if earlier else []


def last_steps_of(runs: Runs, arm: ArmName) -> "pd.Series[int]":
    """Last step on disk of each of the arm's runs that has any."""
    entropy = runs.series(arm, metrics.ENTROPY.name)
    trained = entropy.notna().mul(entropy.index, axis=0).max()
    own = {record.id for record in runs.arms[arm]}
    undefined = {run: steps[-1] for run, steps in undefined_steps(runs, metrics.ENTROPY.name).items() if run in own}
    trained = pd.concat([trained, pd.Series(undefined, dtype=float)])
    evaluated = runs.counts(arm).groupby("run", observed=True)["step"].max()
    last: pd.Series[int] = pd.concat([trained, evaluated]).groupby(level=0).max().astype("int64")
    return last


def _result(runs: Runs, arm: ArmName, step: int, reached: Sequence[str], of: int) -> ArmResult:
    counts = whole_counts(runs, arm)
    counts = counts[counts["run"].isin(reached)]
    evaluated = last_common_evaluation(counts) if len(counts) else _last_logged(runs, arm, reached)
    entropy = _columns(runs.series(arm, metrics.ENTROPY.name), reached)
    at_evaluation = counts[counts["step"] == evaluated]
    return ArmResult(
        arm=str(arm),
        seeds=len(reached),
        runs=of,
        step=step,
        entropy_final=mean_of(final_means(runs, arm, metrics.ENTROPY, reached)),
        entropy_peak=mean_of(entropy.max()),
        evaluated=evaluated,
        pass_1=_pass_at_k(runs, arm, reached, at_evaluation, evaluated, 1),
        pass_16=_pass_at_k(runs, arm, reached, at_evaluation, evaluated, 16),
        samples=int(at_evaluation["n"].min()) if len(at_evaluation) else 0,
        zero_share=mean_of(_columns(runs.series(arm, metrics.ZERO_FRACTION.name), reached).mean()),
        length=mean_of(final_means(runs, arm, metrics.LENGTH_MEAN, reached)),
    )


def _pass_at_k(
    runs: Runs, arm: ArmName, reached: Sequence[str], counts: pd.DataFrame, evaluated: int, k: int
) -> Estimate | None:
    """pass@k at an evaluation, from counts a problem or as the runs have logged it."""
    if len(counts):
        return statistics.pass_at_k_estimate(counts, evaluated, k)
    logged = _columns(runs.series(arm, metrics.pass_at(k).name), reached)
    if evaluated not in logged.index or logged.loc[evaluated].isna().any():
        return None
    found = statistics.bootstrap_interval(logged.loc[[evaluated]].to_numpy().T, bounds=(0.0, 1.0))
    return found if found.seeds > 1 else replace(found, low=float("nan"), high=float("nan"))


def _last_logged(runs: Runs, arm: ArmName, reached: Sequence[str]) -> int:
    """The last step at which all the runs that log pass@1 have logged it; -1 where there is none."""
    logged = _columns(runs.series(arm, metrics.pass_at(1).name), reached).dropna()
    return int(logged.index[-1]) if len(logged) else -1


def whole_counts(runs: Runs, arm: ArmName) -> pd.DataFrame:
    """`statistics.whole_evaluations` of an arm's runs."""
    return runs.remembered("whole counts", arm, lambda: statistics.whole_evaluations(runs.counts(arm)))


def last_common_evaluation(counts: pd.DataFrame) -> int:
    """The last step at which all the runs were evaluated; -1 where there is none."""
    runs_at_step = counts.groupby("step")["run"].nunique()
    common = runs_at_step.index[runs_at_step == counts["run"].nunique()]
    return int(common.max()) if len(common) else -1


def _columns(series: pd.DataFrame, runs: Sequence[str]) -> pd.DataFrame:
    return series[[run for run in runs if run in series.columns]]


def final_means(
    runs: Runs, arm: ArmName, metric: metrics.Metric, of: Sequence[str] | None = None
) -> "pd.Series[float]":
    """A metric's mean over the last five steps that logged it, by run; NaN where it is no number at one of them.

    Args:
        runs: of the arm, others may be among them.
        arm: the arm.
        metric: which.
        of: run ids; by default all of the arm.
    """
    series = runs.series(arm, metric.name)
    undefined = undefined_steps(runs, metric.name)
    chosen = series.columns if of is None else [run for run in of if run in series]
    values = {str(run): _final(series[run], undefined.get(str(run), ())) for run in chosen}
    return pd.Series(values, dtype=float)


def changes(runs: Runs, arm: ArmName, metric: metrics.Metric) -> "pd.Series[float]":
    """By how much a metric's final mean is above its first value, by run; NaN as `final_means`."""
    first = runs.series(arm, metric.name).bfill().head(1).sum(min_count=1)
    return final_means(runs, arm, metric).sub(first)


def _final(column: "pd.Series[float]", undefined: Sequence[int]) -> float:
    known = column.dropna()
    logged = sorted({*known.index, *undefined})[-FINAL_STEPS:]
    return float("nan") if set(logged) & set(undefined) else float(known.tail(FINAL_STEPS).mean())


def mean_of(values: "pd.Series[float] | pd.DataFrame") -> Mean | None:
    """Mean and interval over seeds of the values that are known; None where none is."""
    numbers = values.to_numpy(dtype=float).ravel()
    return statistics.mean_over_seeds(numbers) if pd.notna(numbers).any() else None


def _standing(records: Sequence[RunRecord]) -> str:
    """Where runs stand: "seed 3 failed at step 12, seed 4 running at step 40"."""
    return ", ".join(f"seed {record.seed} {record.status.shown} at step {record.step}" for record in records)


def _cells(result: ArmResult, separator: str) -> tuple[str, ...]:
    def cell(estimate: Mean | Estimate | None, digits: int) -> str:
        if estimate is None:
            return _MISSING
        alone = isinstance(estimate, Mean) and estimate.seeds == 1
        ends = "" if alone else interval(estimate.low, estimate.high, digits)
        parts = [f"{estimate.value:.{digits}f}", ends, some_of(estimate.seeds, result.seeds)]
        return separator.join(filter(None, parts))

    return (
        brief(result.arm),
        str(result.seeds) if result.seeds == result.runs else f"{result.seeds} of {result.runs}",
        str(result.step),
        cell(result.entropy_final, 2),
        cell(result.entropy_peak, 2),
        cell(result.pass_1, 3),
        cell(result.pass_16, 3),
        cell(result.zero_share, 2),
        cell(result.length, 1),
    )
