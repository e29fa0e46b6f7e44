"""Numbers that a run has once, or once a step: means over seeds with Student's intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from analysis.statistics.intervals import CONFIDENCE


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its Student-t interval; the ends equal the value where there is one seed only.

    Where a seed's value is infinite the mean is too (NaN where values of both signs are), and its ends are NaN: no
    interval is known.
    """

    value: float
    low: float
    high: float
    seeds: int


def mean_over_seeds(values: npt.ArrayLike) -> Mean:
    """Mean and 95 % t-interval over seeds; NaN entries are left out, infinite ones are not.

    Raises:
        ValueError: no value is left.
    """
    numbers = np.asarray(values, dtype=np.float64).ravel()
    if np.isnan(numbers).all():
        raise ValueError("no value to take a mean of")
    row = means_over_seeds(pd.DataFrame(numbers[None, :])).iloc[0]
    return Mean(float(row["value"]), float(row["low"]), float(row["high"]), int(row["seeds"]))


def means_over_seeds(series: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % t-interval of every row.

    Args:
        series: one row per step, one column per seed; NaN is left out.

    Returns:
        index as given; columns value, low, high, seeds. Rows with no number are NaN with 0 seeds; with one seed the
        ends equal the value. A row with an infinite value has an infinite mean (NaN with both signs) without ends.
    """
    numbers = series.to_numpy(dtype=np.float64)
    known = ~np.isnan(numbers)
    seeds = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(known, numbers, 0.0).sum(axis=1) / seeds
        spread = np.where(known, numbers - value[:, None], 0.0)
        error = np.sqrt(np.square(spread).sum(axis=1) / (seeds - 1) / seeds)
        half = np.where(seeds > 1, stdtrit(np.maximum(seeds - 1, 1), (1 + CONFIDENCE) / 2) * error, value * 0.0)
    columns = {"value": value, "low": value - half, "high": value + half, "seeds": seeds}
    return pd.DataFrame(columns, index=series.index)
