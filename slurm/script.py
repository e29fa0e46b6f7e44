"""The script of a job array, as sbatch takes it: options, the site's setup lines, the job body in place of the shell.

The body replaces the shell (``exec``), as only the batch step's first process gets the signal before the time limit.
Values of a sweep are in none of it: the body reads them from the run directory.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qae.errors import ConfigError
from slurm.request import Container, Request, Runtime

_PLAIN = re.compile(r"[\w@%+=:,./\[\]-]+", re.ASCII)


@dataclass(frozen=True)
class Array:
    """A job array to submit.

    Attributes:
        name: of the job.
        size: elements.
        batch: file of its batch.
        code: folder that the jobs run from.
        request: what each of them asks for.
    """

    name: str
    size: int
    batch: Path
    code: Path
    request: Request

    @property
    def options(self) -> tuple[tuple[str, str | None], ...]:
        """All options of sbatch; None for a flag."""
        side_by_side = f"%{self.request.throttle}" if self.request.throttle else ""
        return (
            ("job-name", self.name),
            ("array", f"0-{self.size - 1}{side_by_side}"),
            ("output", f"{_without_patterns(self.batch.with_suffix(''))}-%a.out"),
            ("open-mode", "append"),
            ("requeue", None),
            *self.request.options,
        )

    @property
    def arguments(self) -> list[str]:
        """The options as sbatch's arguments."""
        return [f"--{name}" if value is None else f"--{name}={value}" for name, value in self.options]

    def script(self) -> str:
        """The script, which can be submitted by hand as well."""
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {sbatch_quoted(argument)}" for argument in self.arguments),
            *self.request.setup,
            f"cd -- {shlex.quote(str(self.code))} || exit",
            f'export PYTHONPATH={shlex.quote(str(self.code))}"${{PYTHONPATH:+:$PYTHONPATH}}"',
            f"exec {shlex.join(self._command())}",
        ]
        return "\n".join(lines) + "\n"

    def _command(self) -> list[str]:
        container = self.request.container
        python = (container and container.python) or sys.executable
        body = [python, "-m", "slurm.job", str(self.batch)]
        return body if container is None else [*_inside(container, self._mounts(container), self.code), *body]

    def _mounts(self, container: Container) -> list[str]:
        root = self.batch.parents[2]
        own = [root, self.code, *([] if container.python else [Path(sys.prefix), Path(sys.base_prefix)])]
        return [*(f"{folder}:{folder}" for folder in dict.fromkeys(own)), *container.mounts]


def sbatch_quoted(argument: str) -> str:
    """An argument on an ``#SBATCH`` line; unlike in a shell a backslash counts in any quotes."""
    if _PLAIN.fullmatch(argument):
        return argument
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _inside(container: Container, mounts: Sequence[str], folder: Path) -> list[str]:
    """The command that runs another one in a container; both pass signals on."""
    if container.runtime is Runtime.APPTAINER:
        binds = [word for mount in mounts for word in ("--bind", mount)]
        return ["apptainer", "exec", "--nv", *binds, "--pwd", str(folder), container.image]
    return [
        "srun",
        "--nodes=1",
        "--ntasks=1",
        f"--container-image={container.image}",
        f"--container-mounts={','.join(mounts)}",
        f"--container-workdir={folder}",
    ]


def _without_patterns(path: Path) -> str:
    """A path in which Slurm sees no pattern of its own, such as ``%j``."""
    if "\\" in str(path) or not str(path).isprintable():
        raise ConfigError("sweep.root", str(path), "Slurm cannot write there; give a path without backslashes")
    return str(path).replace("%", "%%")
