"""Estimates with intervals: pass@k over problems and seeds, means over seeds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

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
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        raise ValueError("no finite value to take a mean of")
    value = float(finite.mean())
    if finite.size == 1:
        return Mean(value, value, value, 1)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, finite.size - 1) * stats.sem(finite))
    return Mean(value, value - half, value + half, int(finite.size))


def pass_at_k_matrix(counts: pd.DataFrame, step: int, k: int) -> npt.NDArray[np.float64]:
    """pass@k of each run and problem at a step.

    Args:
        counts: columns run, step, data_set, problem, n, c.
        step: global step of the evaluation.
        k: at most every n.

    Returns:
        float (runs, problems); only runs and problems evaluated at the step, each run on every problem.

    Raises:
        ValueError: runs were evaluated on different problems.
    """
    rows = counts[counts["step"] == step]
    values = pass_at_k(rows["n"].to_numpy(), rows["c"].to_numpy(), k)
    wide = rows.assign(value=values).pivot_table(index="run", columns=["data_set", "problem"], values="value")
    if wide.isna().to_numpy().any():
        raise ValueError(f"the runs were evaluated on different problems at step {step}")
    return wide.to_numpy(dtype=np.float64)


def pass_at_k_estimate(counts: pd.DataFrame, step: int, k: int) -> Estimate:
    """Mean pass@k at a step with its bootstrap interval over problems and seeds."""
    return bootstrap_interval(pass_at_k_matrix(counts, step, k), confidence=CONFIDENCE)


def evaluated_steps(counts: pd.DataFrame) -> list[int]:
    """Steps at which every run of the frame was evaluated, in order."""
    if counts.empty:
        return []
    runs_at_step = counts.groupby("step")["run"].nunique()
    return [int(step) for step in runs_at_step.index[runs_at_step == counts["run"].nunique()]]


def supports_k(counts: pd.DataFrame, k: int) -> bool:
    """Whether every problem has at least k samples, so that pass@k is defined."""
    return not counts.empty and bool((counts["n"] >= k).all())
