"""Commands run by somebody else: a user without a name and a home, who may read all and write nothing of ours."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import ROOT

_NUMBER = 54321
# Root is bound by no permission, so it becomes the stranger; anybody else is bound by `read_only` alone.
_BECOME = (
    "setpriv", f"--reuid={_NUMBER}", f"--regid={_NUMBER}", "--clear-groups", "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)  # fmt: skip
QAE = ("-c", "from sweeps.cli import main; main(prog_name='qae')")
SWEEP = (str(ROOT / "sweep.py"),)


def run_as_stranger(
    program: Sequence[str], *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python program of ours as the stranger, who may write in the working directory.

    Args:
        program: `QAE` or `SWEEP`.
        arguments: of it.
        cwd: the working directory.
        environment: variables besides ours; the home and the user's name are left out.
    """
    cwd.chmod(0o777)
    shared = Path(tempfile.gettempdir()).resolve()
    for parent in cwd.resolve().parents:  # pytest's folders are their owner's alone
        if shared in parent.parents:
            parent.chmod(0o755)
    hidden = ("HOME", "USER", "LOGNAME", "QAE_CACHE", "QAE_RUNS")
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [*(_BECOME if os.getuid() == 0 else ()), sys.executable, *program, *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def read_only(folder: Path) -> None:
    """Let nobody write in a folder and those below it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def writable(folder: Path) -> None:
    """Take `read_only` back."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
