"""The lock that says which process runs a directory; the kernel lets go of it however that process ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from qae.run_directory import RunDirectory, RunState, RunStatus

# A look at the lock holds it for an instant; whoever wants to keep it tries again for so long.
_PATIENCE_SECONDS = 1.0
_RETRY_SECONDS = 0.05


class AlreadyRunningError(RuntimeError):
    """Another living process runs this directory."""


@contextmanager
def exclusive(directory: RunDirectory, patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the run's lock.

    Args:
        directory: the run.
        patience: seconds to try for.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    directory.path.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with directory.lock.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise AlreadyRunningError(f"{directory.path} is run by another process") from None
                time.sleep(_RETRY_SECONDS)
        yield


def is_locked(directory: RunDirectory) -> bool:
    """Whether a living process runs it."""
    try:
        file = directory.lock.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            # Shared, so that two that look do not take each other for the one that runs it.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def standing(directory: RunDirectory, state: RunState) -> RunState:
    """What a state on disk means now: a run that says running and that nobody runs was interrupted."""
    if state.status is RunStatus.RUNNING and not is_locked(directory):
        return replace(state, status=RunStatus.PREEMPTED, reason="its process ended without a word")
    return state
