"""The job body: a run directory in, a finished or continuable run out. Launchers call nothing else."""

import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf

from qae import metrics
from qae.checks import is_whole
from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunState, RunStatus
from qae.text import encodable
from sweeps import forks, provenance, reasons, run_checks, tracking, trainers
from sweeps.best import BestCheckpoint
from sweeps.guard import Guard
from sweeps.locking import AlreadyRunningError, exclusive, leased
from sweeps.reasons import ExitReason
from sweeps.store import RunStore
from sweeps.worker_process import own_temporary_files, redirect_output

_SHOWN = (metrics.ENTROPY.name, metrics.pass_at(1).name, metrics.ZERO_FRACTION.name, metrics.LENGTH_MEAN.name)
_LOG_TAIL_BYTES = 200_000
_RAY_STARTS = 3


class Exit(IntEnum):
    """How a worker process ends."""

    ENDED = 0  # done, or stopped on request
    FAILED = 1
    RUNS_ELSEWHERE = 3
    INTERRUPTED = 4  # the trainer was killed; the same command goes on


def log_path(directory: RunDirectory, attempt: int) -> Path:
    """What an attempt printed."""
    return directory.logs / f"attempt-{attempt}.log"


Hold = Callable[[RunDirectory], AbstractContextManager[object]]
Machines = Callable[
    [Mapping[str, object], RunDirectory, Callable[[], bool]], AbstractContextManager[trainers.Lost | None]
]


def ray_may_start(ended: RunState) -> bool:
    """Whether an attempt ended because Ray did not start, and not for the third time (since the last retry)."""
    reason = ExitReason.RAY_START
    return ended.exit_reason == reason and ended.reasons[reason] - ended.settled.get(reason, 0) < _RAY_STARTS


@dataclass(frozen=True)
class Place:
    """Where a scheduler put an attempt, and what it does when one ends early.

    Attributes:
        job, node: its names for the job and the node; None where no scheduler does.
        lost: how the attempt before this one ended, if that one left no word.
        why_stopped: the reason behind a signal that asked to stop; for any but "cancelled" the run waits to go on.
        goes_on: whether a run that ended so, with this attempt counted, is left to be continued instead of failed.
        machines: makes those ready that the run computes on, and lets go of them; gives their `sweeps.trainers.Lost`,
            or None where it was asked to stop (by its last argument) before they were.
    """

    job: str | None = None
    node: str | None = None
    lost: ExitReason = ExitReason.KILLED
    why_stopped: Callable[[int], ExitReason] = lambda _: ExitReason.CANCELLED
    goes_on: Callable[[RunState], bool] = ray_may_start
    machines: Machines = lambda *_: nullcontext(trainers.nothing_is_lost)


_HERE = Place()


def run_in_worker(path: str, sweep: str, attempts: int, place: Place = _HERE) -> None:
    """Run a directory as the whole of a worker process: output goes to the attempt's log, `Exit` tells the rest.

    A run that was done, tried and failed, or asked to end between planning and now is left as it is.

    Args:
        path: the run directory.
        sweep: name of the sweep, W&B's group.
        attempts: how often the run had been started when it was planned.
        place: where a scheduler put it.
    """
    directory = RunDirectory(Path(path))
    with stop_requests(signal.SIGINT, signal.SIGTERM) as requests:
        # In a group of its own a worker does not get the terminal's Ctrl-C beside the launcher's signal.
        os.setpgid(0, 0)
        try:
            _, status = run_with_fork(directory, sweep, attempts, place, requests, exclusive)
        except AlreadyRunningError:
            sys.exit(Exit.RUNS_ELSEWHERE)
    sys.exit(exit_code(status))


def exit_code(status: RunStatus) -> Exit:
    """How a worker ends that left its run so."""
    return {RunStatus.FAILED: Exit.FAILED, RunStatus.PREEMPTED: Exit.INTERRUPTED}.get(status, Exit.ENDED)


def run_with_fork(
    directory: RunDirectory, sweep: str, attempts: int, place: Place, requests: Sequence[int], hold: Hold
) -> tuple[RunDirectory, RunStatus]:
    """Run a directory, and where its guard forks it, the run that goes on instead.

    Args:
        directory: the run.
        sweep: name of the sweep, W&B's group.
        attempts: how often the run had been started when it was planned.
        place: where a scheduler put it.
        requests: numbers of the signals that asked to stop so far.
        hold: takes a run's lock while the block runs.

    Returns:
        the directory that was run last, and the status it was left in.

    Raises:
        AlreadyRunningError: another process runs the directory, or its fork.
        OSError, ValueError: see `run_unless_settled`.
    """
    with hold(directory):
        status = run_unless_settled(directory, sweep, attempts, place, requests)
    fork = forks.fork_of(directory) if status is RunStatus.STOPPED_BY_GUARD else None
    if fork is None:
        return directory, status
    forks.enlist(directory, fork, sweep)
    going_on = forks.last_of(directory)
    with hold(going_on):
        state = going_on.read_state()
        if state.status.is_final:
            return going_on, state.status
        if requests:
            return going_on, _not_begun(going_on, state, place.why_stopped(requests[0]))
        return going_on, run_unless_settled(going_on, sweep, state.attempt, place, requests)


def _not_begun(directory: RunDirectory, state: RunState, reason: ExitReason) -> RunStatus:
    """Leave a run to be continued that was asked to stop before it began."""
    status = RunStatus.CANCELLED if reason is ExitReason.CANCELLED else RunStatus.PREEMPTED
    directory.write_state(_counted(replace(state, status=status), reason, f"stopped before it began ({reason})"))
    return status


def run_unless_settled(
    directory: RunDirectory, sweep: str, attempts: int, place: Place, requests: Sequence[int]
) -> RunStatus:
    """Run a directory whose lock the caller holds; one that was done, or failed since it was planned, is left as it is.

    Args:
        directory: the run.
        sweep: name of the sweep, W&B's group.
        attempts: how often the run had been started when it was planned.
        place: where a scheduler put it.
        requests: numbers of the signals that asked to stop so far.

    Returns:
        the status it was left in.

    Raises:
        OSError: the directory cannot be read or written.
        ValueError: its state cannot be read.
    """
    state = directory.read_state()
    forked = state.status is RunStatus.STOPPED_BY_GUARD and forks.fork_of(directory) is not None
    if state.status is RunStatus.DONE or forked or (state.status.is_final and state.attempt > attempts):
        return state.status
    if (reason := directory.requested_end()) is not None:
        directory.write_state(replace(state, status=RunStatus.CANCELLED, reason=reason))
        return RunStatus.CANCELLED
    try:
        with leased(directory), own_temporary_files():
            while True:
                redirect_output(log_path(directory, state.attempt + 1))
                status = run_job(directory, sweep, requests, place)
                state = directory.read_state()
                # Nothing is lost by trying again at once: no step was made, and it took Ray half a minute to give up.
                again = status is RunStatus.PREEMPTED and state.exit_reason == ExitReason.RAY_START
                if not again or requests or not place.goes_on(state):
                    return status
    except OSError as error:
        if not reasons.is_disk_full(error):
            raise
        # The disk was full before the attempt could begin.
        ended = replace(
            directory.read_state(), status=RunStatus.PREEMPTED, heartbeat=time.time(), job=place.job, node=place.node
        )
        with suppress(OSError):  # not even room for that: the state before, which is to be continued too, stays
            directory.write_last_state(_counted(ended, ExitReason.DISK_FULL, _sentence(error)))
        return RunStatus.PREEMPTED


def run_job(directory: RunDirectory, sweep: str, stop_requests: Sequence[int], place: Place = _HERE) -> RunStatus:
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
    config = cast("Mapping[str, object]", OmegaConf.to_container(OmegaConf.load(directory.config), resolve=True))
    state = _begun(directory, config, place)
    progress = _Progress(directory, state, place)
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
    """The state of a new attempt, written; an attempt before it that left no word is counted."""
    before = directory.read_state()
    total_steps = before.total_steps
    with suppress(ConfigError):  # a trainer that is not installed here: the attempt fails and says it
        total_steps = trainers.of(config).total_steps(config)
    if before.status is RunStatus.RUNNING:
        before = _counted(before, place.lost, None)
    now = time.time()
    state = RunState(
        status=RunStatus.RUNNING,
        step=before.step,
        total_steps=total_steps,
        attempt=before.attempt + 1,
        heartbeat=now,
        started=now,
        start_step=before.step,
        pid=os.getpid(),
        host=socket.gethostname(),
        latest=before.latest,
        job=place.job,
        node=place.node,
        exit_reason=before.exit_reason,
        reasons=before.reasons,
        settled=before.settled,
        stuck_step=before.stuck_step,
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
    """Train where the place has the machines for it; the last finished step, the given one where none was made."""
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
    progress: "_Progress",
    stop_requests: Sequence[int],
) -> RunStatus:
    """Write how an attempt ended that raised; what it leaves the run in."""
    killed = isinstance(error, trainers.TrainerKilledError)
    if killed and stop_requests:  # who asked for the end did not wait for it
        return progress.stopped(stop_requests[0], directory.read_state().step)
    reason = reasons.of_exception(error, _trainer_log(config, directory, attempt))
    continuable = killed or reason is ExitReason.DISK_FULL
    return progress.end(RunStatus.PREEMPTED if continuable else RunStatus.FAILED, reason, _sentence(error))


class _Progress:
    """Keeps state.json in step with the trainer."""

    def __init__(self, directory: RunDirectory, state: RunState, place: Place) -> None:
        self._directory = directory
        self._state = state
        self._place = place
        self._first = True

    def step(self, step: int, values: Mapping[str, float]) -> None:
        now = time.time()
        if self._first:
            # The rate of steps counts from here: what came before is start-up, and the trainer continues from
            # its checkpoint, which may lie before the last step on disk.
            self._state = replace(self._state, start_step=step, started=now)
            self._first = False
        latest = {**self._state.latest, **{name: values[name] for name in _SHOWN if name in values}}
        self._state = replace(self._state, step=step, heartbeat=now, latest=latest)
        self._directory.write_state(self._state)

    def note(self, sentence: str | None) -> None:
        """Have lists of runs show a sentence while the run goes on."""
        if sentence != self._state.reason:
            self._state = replace(self._state, reason=sentence)
            self._directory.write_state(self._state)

    def tracked(self, tracker: tracking.Tracker) -> None:
        """Have the state say what the tracker could not do, during the run and after it."""
        if tracker.problem and tracker.problem != self._state.tracking:
            self._state = replace(self._state, tracking=encodable(tracker.problem))
            with suppress(OSError):
                self._directory.write_state(self._state)

    def stopped(self, number: int, step: int) -> RunStatus:
        """The trainer ended after a step because a signal asked it to."""
        reason = self._place.why_stopped(number)
        if reason is ExitReason.TIME_LIMIT and self._first:
            sentence = "no step fits into the time limit; give more with resources.walltime"
            return self.end(RunStatus.FAILED, reason, sentence)
        status = RunStatus.CANCELLED if reason is ExitReason.CANCELLED else RunStatus.PREEMPTED
        cause = "" if reason is ExitReason.CANCELLED else f" ({reason})"
        return self.end(status, reason, f"stopped by {signal.Signals(number).name}{cause} after step {step}")

    def end(self, status: RunStatus, exit_reason: ExitReason | None = None, sentence: str | None = None) -> RunStatus:
        """Write how the attempt ended; what it leaves the run in."""
        ended = _counted(replace(self._state, status=status, heartbeat=time.time()), exit_reason, sentence)
        if status is RunStatus.FAILED:
            stuck = ended.step if exit_reason in (ExitReason.CRASH, ExitReason.TIME_LIMIT) else None
            if self._place.goes_on(ended):
                ended = replace(ended, status=RunStatus.PREEMPTED, stuck_step=stuck)
            else:
                ended = replace(ended, settled=ended.reasons, stuck_step=None)
        self._state = ended
        try:
            self._directory.write_last_state(ended)
        except OSError as error:
            logging.getLogger(__name__).warning("state.json cannot say how the attempt ended: %s", error)
        return ended.status


def _counted(state: RunState, exit_reason: ExitReason | None, sentence: str | None) -> RunState:
    """The state with one more attempt that ended for this reason."""
    if exit_reason is None:
        return replace(state, exit_reason=None, reason=sentence)
    counts = {**state.reasons, exit_reason.value: state.reasons.get(exit_reason.value, 0) + 1}
    return replace(state, exit_reason=exit_reason.value, reason=sentence, reasons=counts)


def _trainer_log(config: Mapping[str, object], directory: RunDirectory, attempt: int) -> str:
    """The end of what the trainer's own processes printed; exceptions of one in this process say all themselves."""
    path = log_path(directory, attempt)
    try:
        own_processes = trainers.of(config).own_processes
    except ConfigError:  # it is not installed here
        return ""
    if not own_processes or not path.exists():
        return ""
    return path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")


def _sentence(error: Exception) -> str:
    text = encodable(str(error).strip())
    if isinstance(error, ConfigError | trainers.TrainerKilledError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


@contextmanager
def stop_requests(*numbers: int) -> Iterator[list[int]]:
    """Signals that asked to stop, in order of arrival."""
    received: list[int] = []
    before = {number: signal.signal(number, lambda which, _: received.append(which)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
