"""Means over seeds and their intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import statistics


def test_intervals_of_means_are_students() -> None:
    values = [0.1, 0.4, 0.3, 0.9]
    mean = statistics.mean_over_seeds([*values, np.nan])
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean.value, mean.low, mean.high, mean.seeds) == pytest.approx((np.mean(values), *expected, 4))


def test_one_seed_has_no_interval() -> None:
    mean = statistics.mean_over_seeds([0.5])
    assert (mean.low, mean.value, mean.high, mean.seeds) == (0.5, 0.5, 0.5, 1)
    with pytest.raises(ValueError, match="no value"):
        statistics.mean_over_seeds([np.nan])


def test_rows_may_rest_on_different_seeds() -> None:
    series = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": [3.0, np.nan, np.nan]}, index=[1, 2, 3])
    means = statistics.means_over_seeds(series)
    assert means["seeds"].tolist() == [2, 1, 0]
    assert means.loc[1, "value"] == 2.0
    assert [means.loc[2, column] for column in ("value", "low", "high")] == [2.0, 2.0, 2.0]
    assert means["value"].isna().tolist() == means["low"].isna().tolist() == [False, False, True]
