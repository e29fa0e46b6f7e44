"""Estimates with intervals: pass@k over problems and seeds, other numbers over seeds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from qae.pass_at_k import Estimate, bootstrap_interval, pass_at_k

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its Student-t interval; the ends equal the value where there is one seed only."""

    value: float
    low: float
    high: float
    seeds: int


def mean_over_seeds(values: npt.ArrayLike) -> Mean:
    """Mean and 95 % t-interval over seeds; NaN entries are left out.

    Raises:
        ValueError: no value is left.
    """
    numbers = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(numbers).any():
        raise ValueError("no finite value to take a mean of")
    row = means_over_seeds(pd.DataFrame(numbers[None, :])).iloc[0]
    return Mean(float(row["value"]), float(row["low"]), float(row["high"]), int(row["seeds"]))


def means_over_seeds(series: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % t-interval of every row.

    Args:
        series: a row a step, a column a seed; what is not finite is left out.

    Returns:
        index as given; columns value, low, high, seeds. Rows with no number are NaN with 0 seeds; with one seed the
        ends equal the value.
    """
    numbers = series.where(np.isfinite(series.to_numpy(dtype=np.float64)))
    seeds = numbers.count(axis=1)
    value = numbers.mean(axis=1)
    several = seeds > 1
    quantile = stdtrit(np.maximum(seeds - 1, 1), (1 + CONFIDENCE) / 2)
    half = (quantile * numbers.std(axis=1, ddof=1) / np.sqrt(seeds)).where(several, 0.0)
    return pd.DataFrame({"value": value, "low": value - half, "high": value + half, "seeds": seeds})


def whole_evaluations(counts: pd.DataFrame) -> pd.DataFrame:
    """Rows of the evaluations with as many problems as any of the same run.

    An evaluation that is being written, or whose file has lost lines, is left out.
    """
    if counts.empty:
        return counts
    problems = counts.groupby(["run", "step"])["problem"].transform("size")
    return counts[problems == problems.groupby(counts["run"]).transform("max")]


def pass_at_k_matrix(counts: pd.DataFrame, step: int, k: int) -> npt.NDArray[np.float64]:
    """pass@k of each run and problem at a step.

    Args:
        counts: `whole_evaluations`; columns run, step, data_set, problem, n, c.
        step: global step of the evaluation.
        k: at most every n.

    Returns:
        float (runs, problems): the runs evaluated at the step, on the problems that all of them have.
    """
    rows = counts[counts["step"] == step]
    values = pass_at_k(rows["n"].to_numpy(dtype=np.int64), rows["c"].to_numpy(dtype=np.int64), k)
    wide = rows.assign(value=values).pivot_table(index="run", columns=["data_set", "problem"], values="value")
    return wide.dropna(axis=1).to_numpy(dtype=np.float64)


def pass_at_k_estimate(counts: pd.DataFrame, step: int, k: int) -> Estimate | None:
    """Mean pass@k at a step with its 95 % bootstrap interval over seeds and problems.

    Returns:
        None where the runs have no problem in common or k exceeds the samples of one.
    """
    rows = counts[counts["step"] == step]
    if rows.empty or (rows["n"] < k).any():
        return None
    matrix = pass_at_k_matrix(counts, step, k)
    return bootstrap_interval(matrix, confidence=CONFIDENCE) if matrix.size else None


def pass_at_k_curve(counts: pd.DataFrame, k: int) -> pd.DataFrame:
    """pass@k over steps.

    Args:
        counts: evaluations of an arm's runs.
        k: of pass@k.

    Returns:
        index step; columns value, low, high, seeds. Steps where pass@k is not defined are absent.
    """
    whole = whole_evaluations(counts)
    steps = sorted(int(step) for step in whole["step"].unique())
    estimates = {step: pass_at_k_estimate(whole, step, k) for step in steps}
    rows = {step: (e.value, e.low, e.high, e.seeds) for step, e in estimates.items() if e is not None}
    curve = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "seeds"])
    return curve.rename_axis("step")
