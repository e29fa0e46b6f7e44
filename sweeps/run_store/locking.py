"""The lock that says which process runs a directory; the kernel lets go of it however that process ends.

Some shared file systems keep locks to the machine that took them (NFS without lockd, Lustre with localflock). So the
holder also renews a lease; one of another machine that is younger than two minutes counts as a lock. That asks of the
machines' clocks to agree to within a minute.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

import orjson

from qae.run_directory import RunDirectory, RunState, RunStatus, write_atomic

# A look at the lock holds it for an instant; whoever wants to keep it tries again for so long.
_PATIENCE_SECONDS = 1.0
_RETRY_SECONDS = 0.05
LEASE_SECONDS = 120.0
_RENEW_SECONDS = 20.0


@dataclass(frozen=True)
class Lease:
    """`lease.json`: who runs a directory.

    Attributes:
        host, pid: the process.
        time: seconds since the epoch, at the last renewal.
    """

    host: str
    pid: int
    time: float


class AlreadyRunningError(RuntimeError):
    """Another living process runs this directory."""


@contextmanager
def exclusive(directory: RunDirectory, patience: float = _PATIENCE_SECONDS) -> Iterator[int]:
    """Hold the run's lock; yields its file descriptor for a child that must hold it too.

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
        if (holder := _holder_elsewhere(directory)) is not None:
            raise AlreadyRunningError(f"{directory.path} is run by process {holder.pid} on {holder.host}")
        yield file.fileno()


@contextmanager
def leased(directory: RunDirectory) -> Iterator[None]:
    """Renew the lease while the block runs, and give it back; the caller holds the lock."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEW_SECONDS):
            with suppress(OSError):  # a full disk for a while; the next renewal may succeed
                _write_lease(directory)

    _write_lease(directory)
    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        directory.lease.unlink(missing_ok=True)


def is_locked(directory: RunDirectory) -> bool:
    """Whether a living process runs it, here or on a machine that shares the file system."""
    if _holder_elsewhere(directory) is not None:
        return True
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
    """What a state on disk means now: `running` without a living process means interrupted."""
    if state.status is RunStatus.RUNNING and not is_locked(directory):
        return replace(state, status=RunStatus.PREEMPTED, reason="its process ended without a word")
    return state


def _write_lease(directory: RunDirectory) -> None:
    lease = Lease(socket.gethostname(), os.getpid(), time.time())
    write_atomic(directory.lease, orjson.dumps(asdict(lease)))


def _holder_elsewhere(directory: RunDirectory) -> Lease | None:
    """The living holder on another machine, by its lease; locks tell of those on this one."""
    try:
        lease = Lease(**orjson.loads(directory.lease.read_bytes()))
        fresh = time.time() - lease.time < LEASE_SECONDS
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return None
    return lease if fresh and lease.host != socket.gethostname() else None
