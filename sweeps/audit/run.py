"""What is wrong with a run, by what lies in its directory and what a cluster's queue says of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isclose

from qae.checks import is_number
from qae.errors import ConfigError
from qae.run_directory import RunState, RunStatus
from sweeps import trainers
from sweeps.audit import lines
from sweeps.audit.evidence import Evidence
from sweeps.audit.finding import AGAIN, Finding, Kind, Mend, error, warning
from sweeps.run_store.identity import run_id

_LAUNCH = "launch its sweep again, which writes it anew"


@dataclass(frozen=True)
class Queue:
    """What a cluster says of a run's job.

    Attributes:
        job: that waits or runs; None where the queue has none, and where nobody was asked.
        is_known: whether the queue has answered.
        ended: what became of the job that the run had last, "job 12_3 was cancelled"; empty where nobody knows.
    """

    job: str | None = None
    is_known: bool = False
    ended: str = ""


NOT_ASKED = Queue()


def check(evidence: Evidence, queue: Queue = NOT_ASKED) -> list[Finding]:
    """Everything that is wrong with a run; for a running one, nothing that a write in progress explains.

    Args:
        evidence: of its directory.
        queue: of its cluster.
    """
    run, live = evidence.run, evidence.live
    findings = [*_configuration(evidence), *_state(evidence, queue)]
    for file in (evidence.metrics, evidence.evaluation, evidence.tokens, evidence.guard):
        findings += lines.unreadable(file, run, live=live)
    findings += lines.missing_steps(evidence.metrics, run)
    if live:
        return findings
    trainer = _own_trainer(evidence.config)
    if _is_repeatable(trainer, evidence.config):
        findings += lines.doubled_steps(evidence.metrics, run, alike=evidence.alike)
    findings += lines.evaluations(evidence.evaluation, evidence.metrics, run, ours=trainer is not None)
    findings += [*_progress(evidence), *_checkpoints(evidence), *_best(evidence), *_tracking(evidence)]
    for name in evidence.temporaries:
        text = f"{name} is what a killed writer left; --repair removes it"
        findings.append(warning(Kind.TEMPORARY_FILE, run, text, Mend.REMOVE_TEMPORARY, name))
    return findings


def _configuration(evidence: Evidence) -> Iterator[Finding]:
    config = evidence.config
    if isinstance(config, str):
        yield error(Kind.CONFIG, evidence.run, f"config.yaml does not say what the run computes: {config}; {_LAUNCH}")
        return
    try:
        found = run_id(config)
    except ConfigError as wrong:
        if wrong.key == "backend":  # its package is not installed here
            text = f"whether config.yaml is that of the run cannot be told: {wrong}"
            yield warning(Kind.CONFIG, evidence.run, text)
        else:
            yield error(
                Kind.CONFIG, evidence.run, f"config.yaml does not say what the run computes: {wrong}; {_LAUNCH}"
            )
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as wrong:
        text = f"config.yaml does not say what the run computes ({type(wrong).__name__}: {wrong}); {_LAUNCH}"
        yield error(Kind.CONFIG, evidence.run, text)
    else:
        if found != evidence.run:
            text = f"config.yaml is that of run {found}, so it is not known what these numbers are of; {_LAUNCH}"
            yield error(Kind.IDENTITY, evidence.run, text)


def _state(evidence: Evidence, queue: Queue) -> Iterator[Finding]:
    run, state = evidence.run, evidence.state
    if isinstance(state, str):
        yield error(Kind.STATE, run, state)
    elif state is None and evidence.metrics.steps:
        text = "state.json is not there, and metrics.jsonl has steps; the sweep's command writes it and goes on"
        yield error(Kind.STATE, run, text)
    if not isinstance(state, RunState) or evidence.live:
        return
    if state.status is RunStatus.RUNNING and queue.job is None:
        ended = f" ({queue.ended})" if queue.ended else ""
        where = f"process {state.pid} on {state.host}"
        text = f"state.json says running, and nobody runs it: {where} is gone{ended}; `qae resume {run}` goes on"
        yield warning(Kind.LEFT_RUNNING, run, text, Mend.MARK_INTERRUPTED, "state.json")
    if state.status is RunStatus.QUEUED and queue.is_known and queue.job is None:
        ended = f" ({queue.ended})" if queue.ended else ""
        text = f"state.json says queued, and the queue has no job of it{ended}; `qae resume {run}` submits it"
        yield warning(Kind.NOT_QUEUED, run, text)


def _progress(evidence: Evidence) -> Iterator[Finding]:
    """Whether the metrics go as far as the state says; a run that computes steps again may have fewer of them left."""
    state, run = evidence.state, evidence.run
    if not isinstance(state, RunState):
        return
    counted, written = list(evidence.metrics.counted), evidence.metrics.steps
    if state.status is RunStatus.DONE:
        last = counted[-1] if counted else 0
        if not state.step == state.total_steps == last:
            text = (
                f"state.json says done, at step {state.step} of {state.total_steps}, and metrics.jsonl ends at {last}"
            )
            yield error(Kind.INCOMPLETE, run, f"{text}; {AGAIN}")
    elif state.step > max(written, default=0):
        text = f"state.json says step {state.step}, and metrics.jsonl never came further than {max(written, default=0)}"
        yield error(Kind.INCOMPLETE, run, f"{text}; {AGAIN}")


def _checkpoints(evidence: Evidence) -> Iterator[Finding]:
    run = evidence.run
    last = max(evidence.metrics.steps, default=0)
    ahead = [step for step in evidence.checkpoints.steps if step > last]
    text = f"the checkpoint of step {ahead[-1]} is ahead of metrics.jsonl, which ends at step {last}" if ahead else ""
    if len(ahead) == 1 < len(evidence.checkpoints.steps) and _saves_before_it_logs(_own_trainer(evidence.config)):
        yield warning(Kind.CHECKPOINT, run, f"{text}: the next attempt goes on from the one before")
    elif ahead:
        fix = "move that checkpoint away, then the sweep's command goes on from the one before"
        yield error(Kind.CHECKPOINT, run, f"{text}: a run that goes on from it lacks steps; {fix}")
    for damage in evidence.checkpoints.damaged:
        text = f"{damage}; remove it, and the run goes on from an earlier one"
        yield error(Kind.CHECKPOINT, run, text)


def _best(evidence: Evidence) -> Iterator[Finding]:
    best, run = evidence.best, evidence.run
    if isinstance(best, str):
        yield error(Kind.BEST_CHECKPOINT, run, f"best_checkpoint/{best}; remove best_checkpoint")
    if best is None or isinstance(best, str):
        return
    values = evidence.metrics.counted.get(best.step)
    value = values.get(best.metric) if values is not None else None
    if values is not None and not (is_number(value) and isclose(value, best.value, rel_tol=1e-12)):
        text = (
            f"best_checkpoint/validation.json says {best.metric} {best.value:g} at step {best.step}, and metrics.jsonl"
        )
        yield error(Kind.BEST_CHECKPOINT, run, f"{text} says {value}; remove best_checkpoint")
    if not isinstance(evidence.config, str) and best.step not in evidence.best_steps:
        text = f"best_checkpoint/validation.json names step {best.step}, and its checkpoint is not there"
        yield error(Kind.BEST_CHECKPOINT, run, f"{text}; remove best_checkpoint")


def _tracking(evidence: Evidence) -> Iterator[Finding]:
    tracked, run = evidence.tracked, evidence.run
    if tracked is None:
        return
    for sentence in tracked.unreadable:
        yield warning(Kind.TRACKING, run, f"{sentence}; `qae sync` sends what metrics.jsonl has")
    last = max(evidence.metrics.steps, default=-1)
    if tracked.last is not None and tracked.last > last:
        text = f"W&B has step {tracked.last}, and metrics.jsonl never came further than {max(last, 0)}"
        yield error(Kind.TRACKING, run, f"{text}; `qae table` of the folder wandb shows what W&B has")
    state = evidence.state
    done = isinstance(state, RunState) and state.status is RunStatus.DONE
    if done and tracked.files and not tracked.unreadable and (tracked.last is None or tracked.last < last):
        text = f"W&B's files end at step {tracked.last}, and the run at step {last}; `qae sync` sends what is missing"
        yield warning(Kind.TRACKING, run, text)


def _own_trainer(config: Mapping[str, object] | str) -> trainers.Trainer | None:
    """The run's trainer where it is one of the toolkit's own."""
    if isinstance(config, str):
        return None
    try:
        return trainers.of(config) if trainers.package_of(config) is None else None
    except ConfigError:
        return None


def _saves_before_it_logs(trainer: trainers.Trainer | None) -> bool:
    """Whether the trainer is verl, the toolkit's only one with processes of its own (`sweeps.verl.checkpoints`)."""
    return trainer is not None and trainer.own_processes


def _is_repeatable(trainer: trainers.Trainer | None, config: Mapping[str, object] | str) -> bool:
    """Whether a step that is computed again has the same numbers: ours do on a CPU, in the run's own process."""
    if trainer is None or isinstance(config, str) or trainer.own_processes:
        return False
    try:
        return trainer.gpus(config) == 0
    except ConfigError:
        return False
