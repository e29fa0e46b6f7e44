"""The result table: one row an arm, every number with its interval and the sizes it rests on."""

from dataclasses import asdict, dataclass

import pandas as pd
from rich.table import Table

from analysis import statistics
from analysis.runs import Runs
from analysis.statistics import Mean
from qae import metrics
from qae.pass_at_k import Estimate

FINAL_STEPS = 5


@dataclass(frozen=True)
class ArmResult:
    """What came out of an arm.

    Attributes:
        arm: its name.
        seeds: runs with at least one step.
        step: global step of the last evaluation that all of them have.
        entropy_final: policy entropy, mean of the last five steps, nats/token; None before the first.
        entropy_peak: highest entropy of any step, mean over seeds.
        pass_1, pass_16: at that evaluation; None where there is none or n is too small.
        zero_share: share of zero-advantage responses, mean over steps.
        length: response length of the last five steps, tokens.
    """

    arm: str
    seeds: int
    step: int | None
    entropy_final: Mean | None
    entropy_peak: Mean | None
    pass_1: Estimate | None
    pass_16: Estimate | None
    zero_share: Mean | None
    length: Mean | None


def summarise(runs: Runs) -> list[ArmResult]:
    """Results of every arm that has at least one line of metrics."""
    results = []
    for arm in runs.arms:
        counts = runs.counts(arm)
        steps = statistics.evaluated_steps(counts)
        last = steps[-1] if steps else None
        entropy = runs.series(arm, metrics.ENTROPY.name)
        seeds = max(entropy.shape[1], counts["run"].nunique())
        if seeds == 0:
            continue
        results.append(
            ArmResult(
                arm=arm,
                seeds=seeds,
                step=last,
                entropy_final=_mean(entropy.apply(_last_steps)),
                entropy_peak=_mean(entropy.max()),
                pass_1=_pass(counts, last, 1),
                pass_16=_pass(counts, last, 16),
                zero_share=_mean(runs.series(arm, metrics.ZERO_FRACTION.name).mean()),
                length=_mean(runs.series(arm, metrics.LENGTH_MEAN.name).apply(_last_steps)),
            )
        )
    return results


def rich_table(results: list[ArmResult]) -> Table:
    """The table for a terminal, with a caption that says what its numbers are."""
    table = Table(title="Results", title_justify="left", caption=caption(results), caption_justify="left")
    table.add_column("arm")
    for name in ("seeds", "entropy final", "entropy peak", "pass@1", "pass@16", "zero adv.", "length"):
        table.add_column(name, justify="right")
    for result in results:
        table.add_row(*_cells(result))
    return table


def markdown(results: list[ArmResult]) -> str:
    """The table for a document."""
    head = ["arm", "seeds", "entropy final", "entropy peak", "pass@1", "pass@16", "zero adv.", "length"]
    rows = [head, ["---", *["--:"] * (len(head) - 1)], *(list(_cells(result)) for result in results)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", caption(results)])


def frame(results: list[ArmResult]) -> pd.DataFrame:
    """The table with a column a number, for CSV and JSON."""
    return pd.json_normalize([asdict(result) for result in results], sep=".")


def caption(results: list[ArmResult]) -> str:
    """What the numbers are and what they rest on."""
    estimates = [result.pass_1 for result in results if result.pass_1 is not None]
    problems = sorted({estimate.problems for estimate in estimates})
    steps = sorted({result.step for result in results if result.step is not None})
    seeds = sorted({result.seeds for result in results})
    return (
        f"n = {_span(seeds)} seed(s) an arm, {_span(problems)} held-out problems, evaluated at step {_span(steps)}. "
        f"Entropy (nats/token) and length (tokens): mean of the last {FINAL_STEPS} steps; peak: highest step; "
        "zero adv.: mean over steps. [ ]: 95 % intervals, pass@k by bootstrap over problems and seeds, the others "
        "Student t over seeds (none with one seed)."
    )


def _cells(result: ArmResult) -> tuple[str, ...]:
    return (
        result.arm,
        str(result.seeds),
        _interval(result.entropy_final, 2),
        _interval(result.entropy_peak, 2),
        _interval(result.pass_1, 3),
        _interval(result.pass_16, 3),
        _interval(result.zero_share, 2),
        _interval(result.length, 1),
    )


def _interval(estimate: Mean | Estimate | None, digits: int) -> str:
    if estimate is None:
        return "–"  # noqa: RUF001  # an en dash for a missing number
    text = f"{estimate.value:.{digits}f}"
    if isinstance(estimate, Mean) and estimate.seeds == 1:
        return text
    return f"{text} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _span(values: list[int]) -> str:
    if not values:
        return "no"
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _last_steps(column: "pd.Series[float]") -> float:
    return float(column.dropna().tail(FINAL_STEPS).mean())


def _mean(values: "pd.Series[float] | pd.DataFrame") -> Mean | None:
    numbers = values.to_numpy(dtype=float).ravel()
    return statistics.mean_over_seeds(numbers) if pd.notna(numbers).any() else None


def _pass(counts: pd.DataFrame, step: int | None, k: int) -> Estimate | None:
    if step is None or not statistics.supports_k(counts, k):
        return None
    return statistics.pass_at_k_estimate(counts, step, k)
