"""Replays the guard's rules on recorded runs and says which stops would have been right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from analysis.runs.flaws import undefined_steps
from analysis.runs.frames import RunRecord, Runs
from qae import metrics
from qae.files import numbers
from qae.guard import judge
from qae.guard.history import StepRecord, read_history, step_record, values_of
from qae.guard.rules import Finding
from qae.guard.settings import Action, Watch
from qae.run_directory import RunDirectory

_PASS = metrics.pass_at(1).name
_NEEDED = (
    _PASS,
    metrics.ENTROPY.name,
    metrics.ADVANTAGE_TOKEN_MEAN.name,
    metrics.CLIP_DRIFT.name,
    metrics.ZERO_FRACTION.name,
    metrics.GRAD_NORM.name,
    metrics.POLICY_LOSS.name,
    metrics.STEP_TIME.name,
)


@dataclass(frozen=True)
class Line:
    """What separates a good run from a bad run, by the end of the run alone.

    Attributes:
        gain: a good run ends with pass@1 at least this above its first evaluation.
        entropy_ratio: a good run ends with entropy at most this many times its start.
    """

    gain: float = 0.1
    entropy_ratio: float = metrics.EXPLODED


class Outcome(StrEnum):
    """What a replay says of a run."""

    TRUE_STOP = "true stop"
    FALSE_STOP = "false stop"
    MISSED = "missed"
    KEPT = "kept"
    NOT_JUDGED = "not judged"  # fewer than two evaluations and no explosion, so that good or bad is not known


@dataclass(frozen=True)
class Replayed:
    """A run under the guard.

    Attributes:
        record: the run.
        finding: of the first rule that fired; None where none did.
        steps: its training steps on disk.
        steps_after: those after the stop.
        hours, hours_after: time of these steps, times GPUs where it had some.
        on_gpus: whether hours are GPU hours.
        first_pass, last_pass: pass@1 of the first and the last evaluation; None where there are not two.
        entropy_ratio: mean entropy of the last five steps over that of the first step, which no update precedes; None
            where either is not a finite number.
        line: what separates good from bad.
    """

    record: RunRecord
    finding: Finding | None
    steps: int
    steps_after: int
    hours: float
    hours_after: float
    on_gpus: bool
    first_pass: float | None
    last_pass: float | None
    entropy_ratio: float | None
    line: Line

    @property
    def is_good(self) -> bool | None:
        """Whether the run ended well; None where neither its entropy nor its pass@1 tells."""
        if self.entropy_ratio is not None and self.entropy_ratio > self.line.entropy_ratio:
            return False
        if self.first_pass is None or self.last_pass is None:
            return None
        return self.last_pass - self.first_pass >= self.line.gain

    @property
    def outcome(self) -> Outcome:
        """Whether a stop, or none, was right."""
        good = self.is_good
        if good is None:
            return Outcome.NOT_JUDGED
        if self.finding is None:
            return Outcome.KEPT if good else Outcome.MISSED
        return Outcome.FALSE_STOP if good else Outcome.TRUE_STOP


def replay(runs: Runs, watches: Sequence[Watch], line: Line | None = None) -> list[Replayed]:
    """Every run under rules that all stop, whatever they are set to do.

    Args:
        runs: recorded, finished or not.
        watches: the rules.
        line: what separates good from bad.
    """
    stopping = [replace(watch, action=Action.STOP) for watch in watches]
    records = histories(runs)
    return [replay_run(record, records[record.id], stopping, line or Line()) for record in runs.records]


def replay_run(record: RunRecord, history: Sequence[StepRecord], watches: Sequence[Watch], line: Line) -> Replayed:
    """One run under rules that stop."""
    last = history[-1].step if history else 0
    verdicts = judge.replay(watches, history, max(record.total_steps, last))
    finding = next((verdict.finding for verdict in verdicts if verdict.action.ends), None)
    training = [step for step in history if step.step > 0]
    after = [step for step in training if finding is not None and step.step > finding.step]
    passes = [step.values[_PASS] for step in history if _PASS in step.values]
    first, final = (passes[0], passes[-1]) if len(passes) > 1 else (None, None)
    gpus = _gpus(record)
    hours = [_hours(steps) * (gpus or 1) for steps in (training, after)]
    return Replayed(
        record,
        finding,
        len(training),
        len(after),
        hours[0],
        hours[1],
        gpus > 0,
        first,
        final,
        _entropy_ratio(training),
        line,
    )


def histories(runs: Runs) -> dict[str, list[StepRecord]]:
    """Each run's own steps, from its directory where it has one: tables of metrics leave out what is not finite."""
    found = {record.id: _on_disk(record) for record in runs.records if record.directory is not None}
    elsewhere = [record.id for record in runs.records if record.directory is None]
    if elsewhere:
        needed = runs.metrics[runs.metrics["name"].isin(_NEEDED) & runs.metrics["run"].isin(elsewhere)]
        for run in elsewhere:
            table = needed[needed["run"] == run].pivot_table(
                index="step", columns="name", values="value", aggfunc="last", observed=True
            )
            rows = zip(table.index.tolist(), table.iterrows(), strict=True)
            values = {int(step): {str(name): value for name, value in row.dropna().items()} for step, (_, row) in rows}
            for name in _NEEDED:
                for step in undefined_steps(runs, name).get(run, ()):
                    values.setdefault(step, {})[name] = math.nan
            found[run] = [step_record(step, values[step]) for step in sorted(values)]
    return found


def _on_disk(record: RunRecord) -> list[StepRecord]:
    assert record.directory is not None  # noqa: S101  # the caller has looked
    began = record.config.get("fork.step")
    return read_history(RunDirectory(record.directory), began if isinstance(began, int) else -1)


def _entropy_ratio(training: Sequence[StepRecord]) -> float | None:
    first, last = (values_of(steps, metrics.ENTROPY.name) for steps in (training[:1], training[-metrics.FINAL_STEPS :]))
    return sum(last) / len(last) / first[0] if first and last and first[0] > 0 else None


def _hours(steps: Sequence[StepRecord]) -> float:
    return sum(step.values.get(metrics.STEP_TIME.name, 0.0) for step in steps) / 3600


def _gpus(record: RunRecord) -> int:
    """GPUs that a run of verl trained on; 0 for those of a CPU, and where that is not known."""
    config = record.config
    if config.get("trainer.device") == "cpu":
        return 0
    nodes, per_node = config.get("trainer.nnodes", 1), config.get("trainer.n_gpus_per_node", 0)
    counts = [numbers.step(value) for value in (nodes, per_node)]
    return (counts[0] or 0) * (counts[1] or 0)
