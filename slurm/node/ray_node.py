"""Ray on one node of a job: ``ray start --block`` in a temporary directory of its own, until standard input ends.

Signals do not end it: at a preemption Slurm sends TERM to every step at once, and the trainer needs Ray for the
checkpoint that it writes then.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sweeps.verl import machine as verl_machine

HEAD = "head"

# Ray's sockets lie about 60 characters below its directory, and a socket's path may have 107.
_LONGEST_FOLDER = 40
_PREFIX = "qae-ray-"
_MARK = "QAE_RAY_FOLDER"  # in the environment of every process of Ray, whatever name it gives itself
_POLL_SECONDS = 0.2
_STOP_SECONDS = 5.0
_KILL_SECONDS = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main(arguments: Sequence[str]) -> int:
    """Run Ray until standard input ends or Ray does; nothing of it remains on the node.

    Once Ray knows the node, a JSON line on standard output says its name and the address of the head.

    Args:
        arguments: `HEAD` or the address of the head (``10.0.0.1:6379``), the IP address of another node of the job,
            then options for ``ray start``.

    Returns:
        Ray's exit code; 0 where it was asked to end.
    """
    role, other, *options = arguments
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which Ray would inherit
    remove_stale_folders(_base())
    folder, lock = _temporary_folder()
    try:
        command = [*_command(role, other, folder), *options]
        process = subprocess.Popen(  # noqa: S603  # our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env={**verl_machine.without_rival_names(os.environ), _MARK: str(folder)},
        )
        try:
            return _follow(process, folder)
        finally:
            _end(process)
    finally:
        _remove(folder)
        os.close(lock)


def _command(role: str, other: str, folder: Path) -> list[str]:
    """``ray start`` with no port that another job on the node could have: Ray's components bind free ones."""
    peer = other if role == HEAD else role.rpartition(":")[0]
    free = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
    own = [f"--node-ip-address={source_address(peer)}", f"--node-name={_name()}", f"--temp-dir={folder}", *free]
    if role == HEAD:
        # The server of Ray's clients is the one component that takes no 0.
        own += ["--head", "--port=0", f"--ray-client-server-port={_free_port()}", "--include-dashboard=false"]
    else:
        own += [f"--address={role}"]
    # PATH has whatever `ray` the site offers; this is the one of our environment.
    return [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--log-color=false", *own]


def source_address(peer: str) -> str:
    """The IP address by which this node reaches another one; a host's own name may mean 127.0.1.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))  # sends nothing
        address: str = probe.getsockname()[0]
        return address


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _name() -> str:
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _follow(process: "subprocess.Popen[bytes]", folder: Path) -> int:
    """Wait for the end of Ray or of standard input; say when Ray knows the node."""
    known = folder / "ray_current_cluster"  # ray start writes it when the node is registered
    said = False
    while process.poll() is None:
        if not said and known.exists() and (address := known.read_text()):
            sys.stdout.write(json.dumps({"node": _name(), "address": address}) + "\n")
            sys.stdout.flush()
            said = True
        readable, _, _ = select.select([0], [], [], _POLL_SECONDS)
        if readable and not os.read(0, 4096):
            return 0
    return process.returncode or 1  # nobody asked it to end


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _base() -> Path:
    base = tempfile.gettempdir()
    return Path(base if len(base) <= _LONGEST_FOLDER else "/tmp")  # noqa: S108


def _temporary_folder() -> tuple[Path, int]:
    """A new directory short enough for Ray's sockets, and the descriptor of its lock, held as long as it is in use."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_base()))
    lock = os.open(folder / "new", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (folder / "new").rename(folder / "lock")  # held before anyone can find it
    return folder, lock


def remove_stale_folders(base: Path) -> None:
    """Remove the folders and processes that killed jobs of this user left behind."""
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            continue  # another user's, or just being made
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _remove(folder)
        finally:
            os.close(lock)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _KILL_SECONDS
    while (found := _users_of(folder)) and time.monotonic() < deadline:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def _users_of(folder: Path) -> list[int]:
    mark = f"{_MARK}={folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found


def parse(line: str) -> tuple[str, str] | None:
    """The node and the head's address that a line of output says; None for any other line."""
    try:
        said: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, Mapping) or not {"node", "address"} <= said.keys():
        return None
    return str(said["node"]), str(said["address"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
