"""The job body: a run directory in, a finished or continuable run out. Launchers call nothing else."""

import logging
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf

from qae import metrics
from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps import backends, provenance, tracking
from sweeps.locking import AlreadyRunningError, exclusive, leased
from sweeps.store import RunStore

_SHOWN = (metrics.ENTROPY.name, metrics.pass_at(1).name, metrics.ZERO_FRACTION.name, metrics.LENGTH_MEAN.name)
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Exit(IntEnum):
    """How a worker process ends."""

    ENDED = 0  # done, or stopped on request
    FAILED = 1
    RUNS_ELSEWHERE = 3
    INTERRUPTED = 4  # the trainer was killed; the same command goes on


def log_path(directory: RunDirectory, attempt: int) -> Path:
    """What an attempt printed."""
    return directory.logs / f"attempt-{attempt}.log"


def run_in_worker(path: str, sweep: str, attempts: int) -> None:
    """Run a directory as the whole of a worker process: output goes to the attempt's log, `Exit` tells the rest.

    A run that was done, or was tried and failed, between planning and now is left as it is.

    Args:
        path: the run directory.
        sweep: name of the sweep, W&B's group.
        attempts: how often the run had been started when it was planned.
    """
    directory = RunDirectory(Path(path))
    with _stop_requests() as requests:
        # In a group of its own a worker does not get the terminal's Ctrl-C beside the launcher's signal.
        os.setpgid(0, 0)
        try:
            with exclusive(directory), leased(directory):
                state = directory.read_state()
                status = state.status
                settled_since = status.is_final and state.attempt > attempts
                if status is not RunStatus.DONE and not settled_since:
                    _redirect_output(directory, state.attempt + 1)
                    with _own_temporary_files():
                        status = run_job(directory, sweep, requests)
        except AlreadyRunningError:
            sys.exit(Exit.RUNS_ELSEWHERE)
    sys.exit({RunStatus.FAILED: Exit.FAILED, RunStatus.PREEMPTED: Exit.INTERRUPTED}.get(status, Exit.ENDED))


def run_job(directory: RunDirectory, sweep: str, stop_requests: Sequence[int]) -> RunStatus:
    """Train the run in its directory, from where it stands; the caller holds its lock.

    A stop request ends it after the current step, with a checkpoint and the status cancelled; an exception
    ends it with the status failed and its reason; a trainer process that was killed leaves it to be continued.

    Args:
        directory: holds config.yaml; everything else is written here.
        sweep: name of the sweep, W&B's group.
        stop_requests: numbers of the signals that asked to stop so far.

    Returns:
        the status it was left in.
    """
    config = cast("Mapping[str, object]", OmegaConf.to_container(OmegaConf.load(directory.config), resolve=True))
    before = directory.read_state()
    now = time.time()
    state = RunState(
        status=RunStatus.RUNNING,
        step=before.step,
        total_steps=backends.total_steps(config),
        attempt=before.attempt + 1,
        heartbeat=now,
        started=now,
        start_step=before.step,
        pid=os.getpid(),
        host=socket.gethostname(),
        latest=before.latest,
    )
    directory.write_state(state)
    progress = _Progress(directory, state)
    tracker: tracking.Tracker = tracking.NoTracker()
    try:
        provenance.record_attempt(directory, state.attempt, backends.threads(config))
        tracker = tracking.start(config, directory, sweep)

        def on_step(step: int, values: Mapping[str, float]) -> None:
            progress.step(step, values)
            tracker.log(step, values)

        step = backends.train(
            config, directory, RunStore(directory.path.parent).cache, on_step, lambda: bool(stop_requests)
        )
    except backends.TrainerKilledError as error:
        progress.end(RunStatus.PREEMPTED, str(error))
        tracker.finish(failed=True)
        return RunStatus.PREEMPTED
    except Exception as error:
        traceback.print_exc()
        progress.end(RunStatus.FAILED, _sentence(error))
        tracker.finish(failed=True)
        return RunStatus.FAILED
    if step >= state.total_steps:
        status, reason = RunStatus.DONE, None
    else:
        status, reason = RunStatus.CANCELLED, f"stopped by {signal.Signals(stop_requests[0]).name} after step {step}"
    progress.end(status, reason)
    tracker.finish(failed=False)
    return status


class _Progress:
    """Keeps state.json in step with the trainer."""

    def __init__(self, directory: RunDirectory, state: RunState) -> None:
        self._directory = directory
        self._state = state
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

    def end(self, status: RunStatus, reason: str | None) -> None:
        self._state = replace(self._state, status=status, heartbeat=time.time(), reason=reason)
        self._directory.write_state(self._state)


def _sentence(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, ConfigError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Signals that asked to stop, in order of arrival."""
    received: list[int] = []
    before = {number: signal.signal(number, lambda which, _: received.append(which)) for number in _STOP_SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _own_temporary_files() -> Iterator[None]:
    """Give libraries a folder that goes with the run: forked workers skip the exit hooks that would clean up."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="qae-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _redirect_output(directory: RunDirectory, attempt: int) -> None:
    """Send this process's output, native libraries' included, to the attempt's log."""
    directory.logs.mkdir(exist_ok=True)
    log = os.open(log_path(directory, attempt), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
