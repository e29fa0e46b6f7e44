"""Runs of several sources as one."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis.naming import arm_names
from analysis.runs import Runs


def join(parts: Sequence[Runs]) -> Runs:
    """All runs of the parts, with arms named by what differs between all of them.

    A run that several parts have counts once, as the part has it where it is furthest on.
    """
    if len(parts) == 1:
        return parts[0]
    held = [(record, index) for index, part in enumerate(parts) for record in part.records]
    held.sort(key=lambda one: one[0].step)
    owner = {record.id: index for record, index in held}
    records = {record.id: record for record, _ in held}
    arms = arm_names({run: record.config for run, record in records.items()})

    def rows(frame: pd.DataFrame, index: int) -> pd.DataFrame:
        runs = frame["run"].astype("str")
        return frame.assign(run=runs)[runs.map(owner) == index]

    return Runs(
        tuple(replace(records[run], arm=arm) for run, arm in arms.items()),
        _concatenated([rows(part.metrics, index) for index, part in enumerate(parts)]),
        _concatenated([rows(part.evaluations, index) for index, part in enumerate(parts)]),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        tuple(flaw for index, part in enumerate(parts) for flaw in part.flaws if owner.get(flaw.run) == index),
    )


def _concatenated(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame.astype({"name": "str"}) if "name" in frame else frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]
