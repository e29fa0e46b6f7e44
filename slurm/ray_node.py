"""What each Ray step of an allocation runs on its node: ``ray start --block`` in a temporary directory of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

# Ray's sockets lie about 60 characters below its directory, and a socket's path may have 107.
_LONGEST_FOLDER = 40
_STOP_SECONDS = 5.0
_ORPHAN_SECONDS = 2.0


def temporary_folder() -> Path:
    """A new directory short enough for Ray's sockets, for this job alone whoever else uses the node."""
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="qae-ray-", dir=base if len(base) <= _LONGEST_FOLDER else "/tmp"))  # noqa: S108


def main(arguments: Sequence[str]) -> int:
    """Run ``ray start --block`` with these arguments until it ends or TERM comes; nothing of it remains.

    Returns:
        Ray's exit code.
    """
    folder = temporary_folder()
    # PATH has whatever `ray` the site offers; this is the one of our environment.
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments, "--temp-dir", str(folder)]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
        stopped: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda which, _: stopped.append(which))
        while process.poll() is None and not stopped:
            time.sleep(0.2)
        _end(process)
        return 0 if stopped else process.returncode
    finally:
        _kill_users_of(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _kill_users_of(folder: Path) -> None:
    """Kill what Ray left: its daemons and workers carry the session's folder in their command lines."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while (found := _users_of(folder)) and time.monotonic() < deadline:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def _users_of(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            ours = path.stat().st_uid == os.getuid() and int(path.name) != os.getpid()
        except OSError:
            continue
        if ours and str(folder).encode() in command:
            found.append(int(path.name))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
