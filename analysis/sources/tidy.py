"""Tidy frames of a run's metrics: columns step, name (categorical) and value, one row per number.

Names are codes into a list, so that a hundred runs of sixty metrics fit and are put together without reading a name
twice.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Integers = npt.NDArray[np.int64]


def categorical(codes: Integers, names: Sequence[str]) -> pd.Categorical:
    """Names by their codes."""
    return pd.Categorical.from_codes(codes, pd.Index(list(names), dtype="str"))


def metric_frame(
    steps: Integers, codes: Integers, names: Sequence[str], values: npt.NDArray[np.float64]
) -> pd.DataFrame:
    """A frame of metrics.

    Args:
        steps: (rows,).
        codes: (rows,), into `names`.
        names: each once.
        values: (rows,).
    """
    # Not copied: putting the columns of a kind into one block would cost as much as reading them.
    return pd.DataFrame({"step": steps, "name": categorical(codes, names), "value": values}, copy=False)


def no_metrics() -> pd.DataFrame:
    """A frame without rows."""
    return metric_frame(np.empty(0, np.int64), np.empty(0, np.int64), [], np.empty(0))


def from_rows(steps: Sequence[int], names: Sequence[str], values: Sequence[float]) -> pd.DataFrame:
    """A frame from rows; of a step and name the last one counts."""
    codes, known = pd.factorize(np.array(names, dtype=object))
    frame = metric_frame(np.array(steps, np.int64), codes.astype(np.int64), list(known), np.array(values, np.float64))
    return frame.drop_duplicates(["step", "name"], keep="last", ignore_index=True)


def names_of(frame: pd.DataFrame) -> list[str]:
    """The names that a frame has codes for."""
    return [str(name) for name in frame["name"].cat.categories]


def concatenated(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames one after another."""
    index: dict[str, int] = {}
    codes = [np.empty(0, np.int64)]
    for frame in frames:
        own = [index.setdefault(name, len(index)) for name in names_of(frame)]
        codes.append(np.array(own, np.int64)[frame["name"].cat.codes.to_numpy()] if len(frame) else codes[0])
    steps = np.concatenate([np.empty(0, np.int64), *(frame["step"].to_numpy() for frame in frames)])
    values = np.concatenate([np.empty(0), *(frame["value"].to_numpy() for frame in frames)])
    return metric_frame(steps, np.concatenate(codes), list(index), values)


def updated(known: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Rows of both in order of step; of a step and name the new one counts."""
    both = concatenated([known, new]).drop_duplicates(["step", "name"], keep="last")
    return both.sort_values("step", kind="stable", ignore_index=True)


def continued(parts: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, list[int]]:
    """One run's metrics from its attempts in order of time, and the steps that only an ended attempt reached.

    An attempt begins at its first full step, which has at least half as many of the metrics that earlier attempts have
    too as any of its steps; what a run evaluates again before it goes on is no such step. Whatever earlier attempts
    logged from there on does not stay, for the run went on from before it. An attempt that shares no metric with the
    earlier ones adds to them.

    Args:
        parts: columns step, name, value.
    """
    known, ended = parts[0], set[int]()
    for part in parts[1:]:
        begin = _first_full_step(part, set(names_of(known)))
        if begin is not None:
            ended |= set(known["step"][known["step"] >= begin].unique().tolist())
            known = known[known["step"] < begin]
        ended -= set(part["step"].unique().tolist())
        known = updated(known, part)
    return known, sorted(ended)


def _first_full_step(part: pd.DataFrame, names: set[str]) -> int | None:
    """Where an attempt begins; None where it has none of the metrics."""
    shared = part["step"][part["name"].isin(names)]
    if shared.empty:
        return None
    counts = shared.value_counts()
    return int(counts.index[counts >= counts.max() / 2].min())


def superseding(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One run's metrics from its continuations in order of time; of a step the last continuation that has it counts."""
    kept: list[pd.DataFrame] = []
    later: set[int] = set()
    for part in reversed(parts):
        steps = set(part["step"].unique().tolist())
        kept.append(part[~part["step"].isin(later)] if steps & later else part)
        later |= steps
    if len(kept) == 1:
        return kept[0]
    return concatenated(kept[::-1]).sort_values("step", kind="stable", ignore_index=True)
