"""The tidy tables that the paper's figures are painted from: one row per point."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import statistics
from analysis.figures import curves, style
from analysis.runs.frames import ArmName, Runs
from analysis.statistics import Estimate, Mean
from analysis.table import last_common_evaluation, whole_counts
from qae import metrics

COLUMNS = ("panel", "series", "x", "value", "low", "high", "seeds")


@dataclass(frozen=True)
class Quantity:
    """What a panel shows over global steps.

    Attributes:
        label: of the y axis, with unit.
        metric: a logged metric, or
        k: of pass@k from the evaluations.
    """

    label: str
    metric: metrics.Metric | None = None
    k: int = 0

    def curve(self, runs: Runs, arm: ArmName) -> pd.DataFrame:
        """Index step; columns value, low, high, seeds."""
        if self.metric is None:
            return curves.pass_at_k_curve(runs, arm, self.k)
        return curves.metric_curve(runs, arm, self.metric)


ENTROPY = Quantity(style.labelled(metrics.ENTROPY), metrics.ENTROPY)
LENGTH = Quantity(style.labelled(metrics.LENGTH_MEAN), metrics.LENGTH_MEAN)
PASS_1, PASS_16 = Quantity("pass@1", k=1), Quantity("pass@16", k=16)


def rows(panel: str, series: str | Sequence[str], summary: pd.DataFrame) -> pd.DataFrame:
    """A curve as rows; its index becomes x. All are of one series, or each of its own."""
    columns = {name: summary[name].to_numpy() for name in COLUMNS[3:]}
    return pd.DataFrame({"panel": panel, "series": series, "x": summary.index, **columns})


def row(panel: str, series: str, x: object, estimate: Estimate | Mean | None) -> pd.DataFrame:
    """A point as a row; none where there is no estimate."""
    if estimate is None:
        return pd.DataFrame(columns=list(COLUMNS))
    values = (panel, series, x, estimate.value, estimate.low, estimate.high, estimate.seeds)
    return pd.DataFrame([values], columns=list(COLUMNS))


def published(panel: str, series: str, x: object, value: float) -> pd.DataFrame:
    """A published number, which comes without interval and seeds."""
    return pd.DataFrame([(panel, series, x, value, float("nan"), float("nan"), 0)], columns=list(COLUMNS))


def join(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rows below rows."""
    filled = [frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(COLUMNS))


def over_steps(runs: Runs, quantities: Sequence[Quantity]) -> pd.DataFrame:
    """One panel per quantity, one series per arm."""
    return join(rows(of.label, str(arm), of.curve(runs, arm)) for of in quantities for arm in runs.arms)


def final_pass_at(runs: Runs, arm: ArmName, k: int) -> dict[str, Estimate]:
    """pass@k at the arm's final evaluation, by data set."""
    found = {
        str(name): _estimate(counts, k)
        for name, counts in final_evaluation(runs, arm).groupby("data_set", observed=True)
    }
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def pooled_pass_at(runs: Runs, arm: ArmName, k: int) -> Estimate | None:
    """The same over all problems of all data sets."""
    return runs.remembered(("pooled pass@k", k), arm, lambda: _estimate(final_evaluation(runs, arm), k))


def final_evaluation(runs: Runs, arm: ArmName) -> pd.DataFrame:
    """Counts of the last evaluation that the arm's runs share, all with its step.

    Runs that ended early enter with their own last one, which is what became of them.
    """
    return runs.remembered("final evaluation", arm, lambda: _final_evaluation(runs, arm))


def _final_evaluation(runs: Runs, arm: ArmName) -> pd.DataFrame:
    counts = whole_counts(runs, arm)
    early = counts["run"].isin([record.id for record in runs.arms[arm] if record.ended_early])
    others, ended = counts[~early], counts[early]
    step = int(ended["step"].max()) if others.empty and len(ended) else last_common_evaluation(others)
    last = ended.groupby("run", observed=True)["step"].transform("max")
    return pd.concat([others[others["step"] == step], ended[ended["step"] == last].assign(step=step)])


def _estimate(counts: pd.DataFrame, k: int) -> Estimate | None:
    return statistics.pass_at_k_estimate(counts, int(counts["step"].iloc[0]), k) if len(counts) else None
