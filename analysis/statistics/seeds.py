"""Numbers that a run has once, or once a step: means over seeds with Student's intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from analysis.statistics.intervals import CONFIDENCE


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
