"""pass@k of runs from their evaluation counts, with intervals over seeds and problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.intervals import Estimate, FloatArray, bootstrap_interval
from qae.pass_at_k import pass_at_k

IntArray = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.bool_] | slice
_ALL = slice(None)


def whole_evaluations(counts: pd.DataFrame) -> pd.DataFrame:
    """Rows of the evaluations with as many problems as any of the same run.

    An evaluation that is being written, or whose file has lost lines, is left out.
    """
    if counts.empty:
        return counts
    problems = counts.groupby(["run", "step"], observed=True)["problem"].transform("size")
    return counts[problems == problems.groupby(counts["run"], observed=True).transform("max")]


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
    coded = _Coded.of(rows)
    values, runs, problems = coded.matrix(k)
    names = [coded.data_sets.take(problems // len(coded.problems)), coded.problems.take(problems % len(coded.problems))]
    columns = pd.MultiIndex.from_arrays(names, names=["data_set", "problem"])
    return pd.DataFrame(values, coded.runs.take(runs).astype("str").rename("run"), columns)


def pass_at_k_matrix(counts: pd.DataFrame, step: int, k: int) -> FloatArray:
    """`pass_at_k_table` without its labels: float (runs, problems)."""
    return _Coded.of(counts[counts["step"] == step]).matrix(k)[0]


def pass_at_k_estimate(counts: pd.DataFrame, step: int, k: int) -> Estimate | None:
    """Mean pass@k at a step with its 95 % bootstrap interval over seeds and problems.

    Returns:
        None where the runs have no problem in common or k exceeds the samples of one.
    """
    return _Coded.of(counts[counts["step"] == step]).estimate(k)


def pass_at_k_curve(counts: pd.DataFrame, k: int) -> pd.DataFrame:
    """pass@k over steps.

    Args:
        counts: evaluations of an arm's runs.
        k: of pass@k.

    Returns:
        index step; columns value, low, high, seeds. Steps where pass@k is not defined are absent.
    """
    whole = whole_evaluations(counts)
    coded, steps = _Coded.of(whole), whole["step"].to_numpy(dtype=np.int64)
    return _table({int(step): coded.estimate(k, steps == step) for step in np.unique(steps)}).rename_axis("step")


@dataclass(frozen=True)
class _Coded:
    """Evaluations by number instead of by name: figures ask for hundreds of tables, and names are slow to group by.

    Attributes:
        run: the number of each row's run, its place among `runs`.
        problem: the number of each row's problem: the data set's place times the number of `problems`, plus the place
            of the problem's name.
        n, c: samples and right ones, a row each.
        runs, data_sets, problems: the names, sorted.
    """

    run: IntArray
    problem: IntArray
    n: IntArray
    c: IntArray
    runs: pd.Index
    data_sets: pd.Index
    problems: pd.Index

    @classmethod
    def of(cls, counts: pd.DataFrame) -> Self:
        """Number the names of a table of counts."""
        (run, runs), (data_set, data_sets), (problem, problems) = (
            pd.factorize(counts[name], sort=True, use_na_sentinel=False) for name in ("run", "data_set", "problem")
        )
        samples, right = (counts[name].to_numpy(dtype=np.int64) for name in ("n", "c"))
        names = (pd.Index(values) for values in (runs, data_sets, problems))
        return cls(run, data_set * len(problems) + problem, samples, right, *names)

    def matrix(self, k: int, rows: Rows = _ALL) -> tuple[FloatArray, IntArray, IntArray]:
        """pass@k, float (runs, problems), with the numbers of the runs and of the problems."""
        values = pass_at_k(self.n[rows], self.c[rows], k)
        runs, of_run = np.unique(self.run[rows], return_inverse=True)
        problems, of_problem = np.unique(self.problem[rows], return_inverse=True)
        sums, found = np.zeros((2, len(runs), len(problems)))
        np.add.at(sums, (of_run, of_problem), values)
        np.add.at(found, (of_run, of_problem), 1)
        everywhere = found.all(axis=0)
        return sums[:, everywhere] / found[:, everywhere], runs, problems[everywhere]

    def estimate(self, k: int, rows: Rows = _ALL) -> Estimate | None:
        """As `pass_at_k_estimate`."""
        samples = self.n[rows]
        if not samples.size or (samples < k).any():
            return None
        matrix = self.matrix(k, rows)[0]
        return bootstrap_interval(matrix, bounds=(0.0, 1.0)) if matrix.size else None


def _table(estimates: Mapping[int, Estimate | None]) -> pd.DataFrame:
    rows = {key: (e.value, e.low, e.high, e.seeds) for key, e in estimates.items() if e is not None}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "seeds"])
