"""One attempt at a run: train from where the run stands until it is done, stopped or failed."""

import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from omegaconf import OmegaConf

from qae.checks import is_whole
from qae.console.text import encodable
from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps import trainers
from sweeps.composition.plain import plain
from sweeps.run_store import provenance
from sweeps.run_store.store import RunStore
from sweeps.worker import reasons, run_checks, tracking
from sweeps.worker.best import BestCheckpoint
from sweeps.worker.guard import Guard
from sweeps.worker.place import HERE, Place
from sweeps.worker.reasons import ExitReason
from sweeps.worker.state import StateOnDisk, begun


def run_job(directory: RunDirectory, sweep: str, stop_requests: Sequence[int], place: Place = HERE) -> RunStatus:
    """Train the run in its directory, from where it stands; the caller holds its lock.

    A stop request, by a signal or by `RunDirectory.request_end`, ends it after the current step, with a checkpoint and
    the status cancelled, or preempted where the scheduler asked; so does the run's guard, with the status stopped by
    guard. An exception ends it with the status failed and its reason, unless it is to be tried again; a killed trainer
    process, or a full disk, leaves it to be continued.

    Args:
        directory: holds config.yaml; everything else is written here.
        sweep: name of the sweep, W&B's group.
        stop_requests: numbers of the signals that asked to stop so far.
        place: where a scheduler put it.

    Returns:
        the status it was left in.
    """
    config = plain(OmegaConf.load(directory.config))
    state = _begun(directory, config, place)
    progress = StateOnDisk(directory, state, place)
    tracker: tracking.Tracker = tracking.NoTracker()
    try:
        _note_provenance(config, directory, state.attempt)
        tracker = tracking.start(config, directory, sweep)
        progress.tracked(tracker)
        guard = Guard(config, directory, state.total_steps, tracker)
        progress.note(guard.reason)
        best = BestCheckpoint(config, directory)

        def on_step(step: int, values: Mapping[str, float]) -> None:
            progress.step(step, values)
            tracker.log(step, values)
            progress.tracked(tracker)
            guard.step(step, values)
            progress.note(guard.reason)
            best.step(step, values)

        def should_stop() -> bool:
            return bool(stop_requests) or guard.ending is not None or directory.requested_end() is not None

        # One that was killed between the guard's decision and its end has nothing left to train.
        step = state.step if guard.ending else _train(config, directory, state.step, on_step, should_stop, place)
        best.look()
    except Exception as error:
        status = _failed(error, config, directory, state.attempt, progress, stop_requests)
        with suppress(OSError):  # the log lies on the disk that may be full
            traceback.print_exc()
        tracker.finish(failed=True)
        progress.tracked(tracker)
        return status
    if step >= state.total_steps:
        if guard.ending:
            guard.come_too_late()
        status = progress.end(RunStatus.DONE, sentence=guard.reason)
    elif guard.ending:
        status = progress.end(RunStatus.STOPPED_BY_GUARD, sentence=guard.reason)
    elif stop_requests:
        status = progress.stopped(stop_requests[0], step)
    else:
        status = progress.end(RunStatus.CANCELLED, ExitReason.CANCELLED, directory.requested_end() or "asked to end")
    tracker.finish(failed=False)
    progress.tracked(tracker)
    return status


def _begun(directory: RunDirectory, config: Mapping[str, object], place: Place) -> RunState:
    """Write the state of a new attempt. An earlier attempt that recorded no end is counted."""
    before = directory.read_state()
    total_steps = before.total_steps
    with suppress(ConfigError):  # a trainer that is not installed here: the attempt fails and says it
        total_steps = trainers.of(config).total_steps(config)
    state = replace(
        begun(before, place.lost, total_steps, time.time()),
        pid=os.getpid(),
        host=socket.gethostname(),
        job=place.job,
        node=place.node,
    )
    directory.write_state(state)
    return state


def _note_provenance(config: Mapping[str, object], directory: RunDirectory, attempt: int) -> None:
    trainer, package = trainers.of(config), trainers.package_of(config)
    packages = (*trainer.packages(config), *([package] if package else []))
    provenance.record_attempt(directory, attempt, trainer.threads(config), packages)


def _train(
    config: Mapping[str, object],
    directory: RunDirectory,
    step: int,
    on_step: trainers.OnStep,
    should_stop: Callable[[], bool],
    place: Place,
) -> int:
    """Train once the place has the machines; returns the last finished step, the given one if none was finished."""
    cache = RunStore(directory.path.parent).cache
    with place.machines(config, directory, should_stop) as lost:
        if lost is None:
            return step
        run_checks.check(config)
        attempt = trainers.Attempt(config, directory, cache, on_step, should_stop, lost)
        last: object = trainers.of(config).train(attempt)
    if not is_whole(last):
        raise TypeError(f"the trainer {config['backend']} ended with {last!r} instead of the last finished step")
    return last


def _failed(
    error: Exception,
    config: Mapping[str, object],
    directory: RunDirectory,
    attempt: int,
    progress: "StateOnDisk",
    stop_requests: Sequence[int],
) -> RunStatus:
    """Write the end of an attempt that raised; returns the run's status."""
    killed = isinstance(error, trainers.TrainerKilledError)
    if killed and stop_requests:  # who asked for the end did not wait for it
        return progress.stopped(stop_requests[0], directory.read_state().step)
    reason = reasons.of_exception(error, _trainer_log(config, directory, attempt))
    continuable = killed or reason is ExitReason.DISK_FULL
    return progress.end(RunStatus.PREEMPTED if continuable else RunStatus.FAILED, reason, sentence(error))


def _trainer_log(config: Mapping[str, object], directory: RunDirectory, attempt: int) -> str:
    """The last output of the trainer's own processes. A trainer in this process has none: its exceptions say all."""
    try:
        own_processes = trainers.of(config).own_processes
    except ConfigError:  # it is not installed here
        return ""
    return directory.end_of_log(attempt) if own_processes else ""


def sentence(error: Exception) -> str:
    """What ended an attempt, in one line."""
    text = encodable(str(error).strip())
    if isinstance(error, ConfigError | trainers.TrainerKilledError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
