"""The job body: a run directory in, a finished or continuable run out. Launchers call nothing else."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.run_store.locking import AlreadyRunningError, exclusive, leased
from sweeps.worker import forks, reasons
from sweeps.worker.attempt import run_job, sentence
from sweeps.worker.place import HERE, Place
from sweeps.worker.process import own_temporary_files, redirect_output
from sweeps.worker.reasons import ExitReason
from sweeps.worker.state import counted

Hold = Callable[[RunDirectory], AbstractContextManager[object]]


class Exit(IntEnum):
    """How a worker process ends."""

    ENDED = 0  # done, or stopped on request
    FAILED = 1
    RUNS_ELSEWHERE = 3
    INTERRUPTED = 4  # the trainer was killed; the same command goes on


def run_in_worker(path: str, sweep: str, attempts: int, place: Place = HERE) -> None:
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
    """Exit code for a run's final status."""
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
    """Leave a run that was told to stop before it began so that it can continue."""
    status = RunStatus.CANCELLED if reason is ExitReason.CANCELLED else RunStatus.PREEMPTED
    directory.write_state(counted(replace(state, status=status), reason, f"stopped before it began ({reason})"))
    return status


def run_unless_settled(
    directory: RunDirectory, sweep: str, attempts: int, place: Place, requests: Sequence[int]
) -> RunStatus:
    """Run a directory whose lock the caller holds. A run that is done, or has failed since the plan, is left as it is.

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
                redirect_output(directory.log(state.attempt + 1))
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
            directory.write_last_state(counted(ended, ExitReason.DISK_FULL, sentence(error)))
        return RunStatus.PREEMPTED


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
