"""The job body: a run directory in, a finished or continuable run out. Launchers call nothing else."""

import fcntl
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf

from qae import metrics
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps import backends, provenance, tracking
from sweeps.store import RunStore

_SHOWN = (metrics.ENTROPY.name, metrics.pass_at(1).name, metrics.ZERO_FRACTION.name, metrics.LENGTH_MEAN.name)
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger(__name__)


class AlreadyRunningError(RuntimeError):
    """Another living process runs this directory."""


def run_in_worker(path: str, sweep: str) -> None:
    """Run a directory as the whole of a worker process: output goes to the attempt's log, the exit code tells.

    Exit codes: 0 done or stopped on request, 1 failed, 3 already running elsewhere.
    """
    directory = RunDirectory(Path(path))
    try:
        with _exclusive(directory):
            _redirect_output(directory)
            status = run_job(directory, sweep)
    except AlreadyRunningError:
        sys.exit(3)
    sys.exit(1 if status is RunStatus.FAILED else 0)


def run_job(directory: RunDirectory, sweep: str) -> RunStatus:
    """Train the run in its directory, from where it stands; the caller holds its lock.

    SIGINT and SIGTERM end it after the current step, with a checkpoint and the status cancelled; an exception
    ends it with the status failed and its reason.

    Args:
        directory: holds config.yaml; everything else is written here.
        sweep: name of the sweep, W&B's group.

    Returns:
        the status it was left in.
    """
    config = cast("Mapping[str, object]", OmegaConf.to_container(OmegaConf.load(directory.config), resolve=True))
    state = replace(
        directory.read_state(),
        status=RunStatus.RUNNING,
        total_steps=backends.total_steps(config),
        started=time.time(),
        heartbeat=time.time(),
        pid=os.getpid(),
        host=socket.gethostname(),
        reason=None,
    )
    state = replace(state, attempt=state.attempt + 1, start_step=state.step)
    directory.write_state(state)
    provenance.record_attempt(directory, state.attempt)
    progress = _Progress(directory, state)
    with _stop_requests() as requests:
        try:
            tracker = tracking.start(config, directory, sweep)

            def on_step(step: int, values: Mapping[str, float]) -> None:
                progress.step(step, values)
                tracker.log(step, values)

            step = backends.train(
                config, directory, RunStore(directory.path.parent).cache, on_step, lambda: bool(requests)
            )
            finished = step >= state.total_steps
            tracker.finish(failed=False)
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            return progress.end(RunStatus.FAILED, reason)
    if finished:
        return progress.end(RunStatus.DONE, None)
    return progress.end(RunStatus.CANCELLED, f"stopped by {signal.Signals(requests[0]).name} after step {step}")


class _Progress:
    """Keeps state.json in step with the trainer."""

    def __init__(self, directory: RunDirectory, state: RunState) -> None:
        self._directory = directory
        self._state = state
        self._first = True

    def step(self, step: int, values: Mapping[str, float]) -> None:
        latest = {**self._state.latest, **{name: values[name] for name in _SHOWN if name in values}}
        if self._first:
            # The trainer continues from its checkpoint, which may lie before the last step on disk.
            self._state = replace(self._state, start_step=max(0, step - 1), started=time.time())
            self._first = False
        self._state = replace(self._state, step=step, heartbeat=time.time(), latest=latest)
        self._directory.write_state(self._state)

    def end(self, status: RunStatus, reason: str | None) -> RunStatus:
        self._state = replace(self._state, status=status, heartbeat=time.time(), reason=reason)
        self._directory.write_state(self._state)
        return status


@contextmanager
def _exclusive(directory: RunDirectory) -> Iterator[None]:
    """Hold the run's lock; it goes with the process, however that ends."""
    directory.path.mkdir(parents=True, exist_ok=True)
    with directory.lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"{directory.path} is run by another process") from None
        yield


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


def _redirect_output(directory: RunDirectory) -> None:
    """Send this process's output, native libraries' included, to the log of the attempt that begins."""
    directory.logs.mkdir(exist_ok=True)
    attempt = directory.read_state().attempt + 1
    log = os.open(directory.logs / f"attempt-{attempt}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
