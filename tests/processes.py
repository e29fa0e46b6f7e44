"""Commands as processes of their own, for tests that watch or kill them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
