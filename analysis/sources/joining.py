"""Runs of several sources as one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis.runs.frames import RunRecord, Runs
from analysis.runs.identity import DEFAULT, ArmRule
from analysis.runs.naming import identify, k_of, rule_of


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
        tuple(dict.fromkeys([*(note for part in parts for note in part.notes), *_namesakes(held, records)])),
        named.notes,
        rule,
        tuple(flaw for index, part in enumerate(parts) for flaw in part.flaws if owner.get(flaw.run) == index),
    )


def _renamed(runs: Runs, rule: ArmRule) -> Runs:
    if runs.rule == rule:
        return runs
    records = {record.id: record for record in runs.records}
    named = identify({run: record.config for run, record in records.items()}, rule)
    ordered = (replace(records[run], arm=arm, seed=named.seeds[run]) for run, arm in named.arms.items())
    return replace(runs, records=tuple(ordered), arm_notes=named.notes, rule=rule)


def _namesakes(held: Sequence[tuple[RunRecord, int]], records: Mapping[str, RunRecord]) -> list[str]:
    """A sentence on each id that sources use for runs with another K, rule or seed; only one of these is kept."""
    named = {
        record.id
        for record, _ in held
        if (rule_of(record.config), k_of(record.config), record.seed)
        != (rule_of(records[record.id].config), k_of(records[record.id].config), records[record.id].seed)
    }
    return [
        f"Run {run}: two sources have different runs of this id (another K, rule or seed); the one furthest on counts."
        for run in sorted(named)
    ]


def _concatenated(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame.astype({"name": "str"}) if "name" in frame else frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]
