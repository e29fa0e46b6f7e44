"""Runs put together from what a source has read of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.runs.flaw import Flaw
from analysis.runs.flaws import with_run
from analysis.runs.frames import EVALUATION_COLUMNS, RunRecord, Runs
from analysis.runs.naming import identify
from analysis.sources.lost import Lost, of_lost
from analysis.sources.tidy import categorical, concatenated
from qae.files import numbers
from qae.run_directory import RunStatus


def no_evaluations() -> pd.DataFrame:
    """A frame of evaluation counts without rows."""
    return pd.DataFrame(columns=list(EVALUATION_COLUMNS[1:]))


@dataclass(frozen=True)
class LoadedRun:
    """A run as a source has read it.

    Attributes:
        id: run id.
        config: its configuration, dotted keys.
        status: where it stands.
        metrics: columns step, name (categorical), value.
        evaluations: columns step, data_set, problem, n, c, mean_length.
        step: its last step; by default the last one of `metrics`.
        total_steps: steps that complete it; 0 where that is not known.
        lost: values of metrics that are no number.
        flaws: what else is wrong with its numbers.
    """

    id: str
    config: Mapping[str, object]
    status: RunStatus
    metrics: pd.DataFrame
    evaluations: pd.DataFrame = field(default_factory=no_evaluations)
    step: int | None = None
    total_steps: int | None = None
    lost: Sequence[Lost] = ()
    flaws: Sequence[Flaw] = ()


def assemble(loaded: Iterable[LoadedRun], notes: Sequence[str] = ()) -> Runs:
    """Name the arms and put the frames together."""
    by_id = {run.id: run for run in loaded}
    named = identify({run_id: run.config for run_id, run in by_id.items()})
    runs = [by_id[run_id] for run_id in named.arms]
    records = tuple(
        RunRecord(
            run.id,
            named.arms[run.id],
            named.seeds[run.id],
            run.status,
            _last_step(run),
            _total_steps(run),
            run.config,
        )
        for run in runs
    )
    flaws = [flaw for run in runs for flaw in (*of_lost(run.id, run.lost), *with_run(run.flaws, run.id))]
    return Runs(records, _metrics(runs), _evaluations(runs), tuple(notes), named.notes, flaws=tuple(flaws))


def _last_step(run: LoadedRun) -> int:
    if run.step is not None:
        return run.step
    return int(run.metrics["step"].max()) if len(run.metrics) else 0


def _total_steps(run: LoadedRun) -> int:
    if run.total_steps is not None:
        return run.total_steps
    return numbers.step(run.config.get("trainer.total_training_steps")) or 0


def _metrics(runs: Sequence[LoadedRun]) -> pd.DataFrame:
    frame = concatenated([run.metrics for run in runs])
    codes = np.repeat(np.arange(len(runs)), [len(run.metrics) for run in runs])
    frame.insert(0, "run", pd.Series(categorical(codes, [run.id for run in runs]), copy=False))
    return frame


def _evaluations(runs: Sequence[LoadedRun]) -> pd.DataFrame:
    filled = [run.evaluations.assign(run=run.id) for run in runs if not run.evaluations.empty]
    if not filled:
        return pd.DataFrame(columns=list(EVALUATION_COLUMNS))
    return pd.concat(filled, ignore_index=True)[list(EVALUATION_COLUMNS)]
