"""The journal that a study lives in: a file on a shared file system, safe against kills.

Optuna's own lock of the file waits half a minute where its holder was killed. This one is a symbolic link, which is
made in one step on NFS too, and whose text says who holds it: one that is gone from this machine is seen at once.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from qae.run_directory import JsonlWriter

_LONGEST_PAUSE_SECONDS = 0.2


class LinkLock(BaseJournalFileLock):
    """A lock that processes of several machines can wait for.

    Args:
        path: of the link; beside it a file of the same name and ``.turn``.
        patience: seconds after which a holder on another machine that has not let go is taken for dead.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        pause, seen, since = 0.001, "", time.monotonic()
        while True:
            try:
                self._path.symlink_to(f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}")
            except FileExistsError:
                holder = self._holder()
                if holder != seen:
                    seen, since = holder, time.monotonic()
                elif holder and (_is_gone(holder) or time.monotonic() - since > self._patience):
                    self._take_from(holder)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                return True

    def release(self) -> None:
        """Let go."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock while the block runs."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _holder(self) -> str:
        try:
            return str(self._path.readlink())
        except FileNotFoundError:
            return ""

    def _take_from(self, holder: str) -> None:
        # One at a time, so that nobody takes away the link of whoever was faster.
        with self._path.with_name(f"{self._path.name}.turn").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if self._holder() == holder:
                self.release()


class _JournalLock(LinkLock):
    """Lock of the journal file. The process that gets it first cuts off the half line of a killed writer."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal.with_name(f"{journal.name}.lock"), patience=30.0)
        self._journal = journal

    def acquire(self) -> bool:
        taken = super().acquire()
        JsonlWriter(self._journal).close()
        return taken


def storage(journal: Path) -> JournalStorage:
    """Optuna's storage in a journal file, which is made where it does not exist.

    Raises:
        OSError: the file cannot be read or written.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(journal)
    with lock.held():  # a half line is cut off before anybody reads on from it
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))


def _is_gone(holder: str) -> bool:
    host, pid, _ = holder.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    with suppress(PermissionError):  # somebody else's process is alive
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
    return False
