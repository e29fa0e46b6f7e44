"""Runs of several sources as one."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis.identity import DEFAULT, ArmRule
from analysis.naming import identify
from analysis.runs import Runs


def join(parts: Sequence[Runs], rule: ArmRule = DEFAULT) -> Runs:
    """All runs of the parts, with arms named by what differs between all of them.

    A run that several parts have counts once, as the part has it where it is furthest on.

    Args:
        parts: at least one.
        rule: what the user says of keys.

    Raises:
        UnknownKeyError: a key of the rule is in no run.
    """
    rule.check(record.config for part in parts for record in part.records)
    if len(parts) == 1:
        return _renamed(parts[0], rule)
    held = [(record, index) for index, part in enumerate(parts) for record in part.records]
    held.sort(key=lambda one: one[0].step)
    owner = {record.id: index for record, index in held}
    records = {record.id: record for record, _ in held}
    named = identify({run: record.config for run, record in records.items()}, rule)

    def rows(frame: pd.DataFrame, index: int) -> pd.DataFrame:
        runs = frame["run"].astype("str")
        return frame.assign(run=runs)[runs.map(owner) == index]

    return Runs(
        tuple(replace(records[run], arm=arm, seed=named.seeds[run]) for run, arm in named.arms.items()),
        _concatenated([rows(part.metrics, index) for index, part in enumerate(parts)]),
        _concatenated([rows(part.evaluations, index) for index, part in enumerate(parts)]),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        named.notes,
        rule,
    )


def _renamed(runs: Runs, rule: ArmRule) -> Runs:
    if runs.rule == rule:
        return runs
    records = {record.id: record for record in runs.records}
    named = identify({run: record.config for run, record in records.items()}, rule)
    ordered = (replace(records[run], arm=arm, seed=named.seeds[run]) for run, arm in named.arms.items())
    return Runs(tuple(ordered), runs.metrics, runs.evaluations, runs.notes, named.notes, rule)


def _concatenated(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame.astype({"name": "str"}) if "name" in frame else frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]
