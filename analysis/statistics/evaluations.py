"""pass@k of runs from their evaluation counts, with intervals over seeds and problems."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.intervals import Estimate, bootstrap_interval
from qae.pass_at_k import pass_at_k


def whole_evaluations(counts: pd.DataFrame) -> pd.DataFrame:
    """Rows of the evaluations with as many problems as any of the same run.

    An evaluation that is being written, or whose file has lost lines, is left out.
    """
    if counts.empty:
        return counts
    problems = counts.groupby(["run", "step"])["problem"].transform("size")
    return counts[problems == problems.groupby(counts["run"]).transform("max")]


def pass_at_k_table(counts: pd.DataFrame, step: int, k: int) -> pd.DataFrame:
    """pass@k of each run and problem at a step.

    Args:
        counts: `whole_evaluations`; columns run, step, data_set, problem, n, c.
        step: global step of the evaluation.
        k: at most every n.

    Returns:
        index run, columns (data_set, problem): the runs evaluated at the step, on the problems that all of them have.
    """
    rows = counts[counts["step"] == step]
    values = pass_at_k(rows["n"].to_numpy(dtype=np.int64), rows["c"].to_numpy(dtype=np.int64), k)
    # As `pivot_table` does, in half the time: figures ask for hundreds of these tables.
    runs, run_names = pd.factorize(rows["run"].astype("str"), sort=True)
    problems, names = pd.MultiIndex.from_frame(rows[["data_set", "problem"]]).factorize(sort=True)
    shape = (len(run_names), len(names))
    sums, found = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (runs, problems), values)
    np.add.at(found, (runs, problems), 1)
    everywhere = np.flatnonzero(found.all(axis=0))
    columns = pd.MultiIndex.from_tuples(names).take(everywhere).set_names(["data_set", "problem"])
    return pd.DataFrame(sums[:, everywhere] / found[:, everywhere], pd.Index(run_names, name="run"), columns)


def pass_at_k_matrix(counts: pd.DataFrame, step: int, k: int) -> npt.NDArray[np.float64]:
    """`pass_at_k_table` without its labels: float (runs, problems)."""
    return pass_at_k_table(counts, step, k).to_numpy(dtype=np.float64)


def pass_at_k_estimate(counts: pd.DataFrame, step: int, k: int) -> Estimate | None:
    """Mean pass@k at a step with its 95 % bootstrap interval over seeds and problems.

    Returns:
        None where the runs have no problem in common or k exceeds the samples of one.
    """
    rows = counts[counts["step"] == step]
    if rows.empty or (rows["n"] < k).any():
        return None
    matrix = pass_at_k_matrix(counts, step, k)
    return bootstrap_interval(matrix, bounds=(0.0, 1.0)) if matrix.size else None


def pass_at_every_k(counts: pd.DataFrame, step: int) -> pd.DataFrame:
    """Mean pass@k at a step for every k up to the fewest samples of a problem.

    Args:
        counts: `whole_evaluations` of an arm's runs.
        step: global step of the evaluation.

    Returns:
        index k; columns value, low, high, seeds; empty where nothing was evaluated.
    """
    samples = counts.loc[counts["step"] == step, "n"]
    ks = range(1, int(samples.min()) + 1) if len(samples) else range(0)
    return _table({k: pass_at_k_estimate(counts, step, k) for k in ks}).rename_axis("k")


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
    return _table({step: pass_at_k_estimate(whole, step, k) for step in steps}).rename_axis("step")


def _table(estimates: Mapping[int, Estimate | None]) -> pd.DataFrame:
    rows = {key: (e.value, e.low, e.high, e.seeds) for key, e in estimates.items() if e is not None}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "seeds"])
