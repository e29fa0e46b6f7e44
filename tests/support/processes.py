"""Commands as processes of their own, for tests that watch or kill them."""

import os
import signal
import subprocess
import sys

from tests import ROOT


def python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start this Python in the checkout; errors go to its output, which is a pipe.

    Args:
        arguments: of Python.
        environment: variables besides those of this process.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def kill_after(process: subprocess.Popen[str], line: str) -> None:
    """Send SIGKILL once a process has printed a line, and see that it ended by it."""
    assert process.stdout is not None
    for printed in process.stdout:
        if printed.strip() == line:
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait(timeout=600) == -signal.SIGKILL
