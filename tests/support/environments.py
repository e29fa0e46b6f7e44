"""Environments of their own for tests: what a lock file holds, and the toolkit in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import ROOT


def light(folder: Path, *toolkit: str) -> Path:
    """The packages of `make setup-light` in a new environment, and the toolkit as `uv pip install` takes it.

    Args:
        folder: of the environment, which is made.
        toolkit: what to install, with its options.
    """
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    python = str(folder / "bin" / "python")
    locked = ["--require-hashes", str(ROOT / "requirements-light.lock")]
    for command in (
        ["venv", "--python", sys.executable, str(folder)],
        ["pip", "sync", "--python", python, *locked],
        ["pip", "install", "--python", python, "--no-deps", *toolkit],
    ):
        subprocess.run([uv, *command, "--quiet"], check=True, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
    return folder


def variables(runs: Path) -> dict[str, str]:
    """Environment variables of a command in such an environment, which sees nothing of the one that tests run in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"QAE_RUNS": str(runs), "WANDB_MODE": "offline", "COLUMNS": "200"}
