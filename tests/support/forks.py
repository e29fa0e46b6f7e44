"""Command lines by the hundred: each is a process of its own, forked from one that has imported the program.

`python -m tests.support.forks PROGRAM…` is that process. It forks at the top of its script, with no thread of its own,
and a fork runs to the end of the interpreter as any command does: arguments, environment, folder, streams and exit code
are its own, only the imports are shared. A test of imports, or of what Python does at its start, needs a real start.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests import ROOT

SWEEP = "sweep:main"
QAE = "sweeps.cli:main"
# What each program imports once it knows its arguments.
_LATER = {
    SWEEP: ("sweeps.launching.launch", "hydra_plugins.qae_launcher", "hydra_plugins.qae_sweeper"),
    QAE: ("analysis.comparison", "analysis.commands.closing", "analysis.advice.advise", "sweeps.commands.status"),
}
CLOSED_PIPE = "a pipe that nobody reads"
_SECONDS = 1200  # ends a fork that hangs, and leaves a busy machine its time


class Forks:
    """The process that has imported a program, as a test sees it; see `forks_of`."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server

    def run(
        self, *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None, stdout: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the program in a fork.

        Args:
            arguments: of its command line.
            cwd: the working directory.
            environment: variables besides this process's.
            stdout: a file that takes its output, or `CLOSED_PIPE`; None: the answer has it.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = [arguments, str(cwd), {**os.environ, **(environment or {})}, stdout]
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        code, out, err = json.loads(self._server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, out, err)


@contextmanager
def forks_of(program: str, **environment: str) -> Iterator[Forks]:
    """Have a program imported while the block runs.

    Args:
        program: `SWEEP` or `QAE`.
        environment: variables that Python reads at its start, besides this process's.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.forks", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    ) as server:
        yield Forks(server)  # the end of its stdin ends it


def serve(program: str) -> int:
    """Run the program in a fork for each line of stdin; one answer per line on stdout."""
    module, _, name = program.partition(":")
    main: Callable[[], int | None] = getattr(importlib.import_module(module), name)
    for later in _LATER[program]:
        importlib.import_module(later)
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
            if (child := os.fork()) == 0:
                arguments, cwd, environment, stdout = json.loads(line)
                _become(["qae" if program == QAE else "sweep.py", *arguments], cwd, environment)
                _write_to(out.fileno() if stdout is None else _opened(stdout), err.fileno())
                return main() or 0
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(json.dumps([code, _text(out), _text(err)]), flush=True)
    return 0


def _become(line: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Be a process of that command line."""
    signal.alarm(_SECONDS)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = line


def _write_to(out: int, err: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)


def _opened(stdout: str) -> int:
    if stdout != CLOSED_PIPE:
        return os.open(stdout, os.O_WRONLY)
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
