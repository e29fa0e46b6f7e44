"""`qae doctor`: does this machine, or a compute node, have what a run needs."""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qae.console import terminal
from qae.console.command_line import say

if TYPE_CHECKING:
    from sweeps.doctor.findings import Finding
    from sweeps.launching.needs import Needs

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
# Attributes of a folder on NFS are cached for so long at most, by its default.
_SHARED_SECONDS = 5.0


class _RefusedError(click.ClickException):
    exit_code = 2


@dataclass(frozen=True)
class SlurmOptions:
    """Where to look: what srun is given. `gres` None asks for the GPUs of the configuration."""

    partition: str | None = None
    account: str | None = None
    gres: str | None = None


@click.command(short_help="What this machine, or a compute node, lacks for a run.")
@click.argument("overrides", nargs=-1)
@click.option("--slurm", is_flag=True, help="Look at a compute node, through srun.")
@click.option("--partition", help="With --slurm: the partition.")
@click.option("--account", help="With --slurm: the account to charge.")
@click.option("--gres", help="With --slurm: what to ask for (default: the GPUs of the configuration).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@click.option("--shared-file", type=click.Path(path_type=Path), hidden=True)
def doctor(
    overrides: tuple[str, ...],
    partition: str | None,
    account: str | None,
    gres: str | None,
    shared_file: Path | None,
    *,
    slurm: bool,
    as_json: bool,
) -> None:
    """Check this machine for what a run with OVERRIDES needs, e.g. `qae doctor model=qwen3-8b-base`.

    Says what to do about whatever is missing. The exit status is 1 if something is that a run cannot do without.
    """
    from qae.errors import ConfigError
    from sweeps.doctor import probes
    from sweeps.launching.needs import Needs

    try:
        needs = Needs.of(_composed(overrides))
    except ConfigError as error:
        raise _RefusedError(str(error)) from error
    if slurm:
        with _file_in_store(needs) as ours:
            command = srun_command(needs, SlurmOptions(partition, account, gres), ours, overrides)
            host, findings = _on_a_node(command)
    else:
        host, findings = platform.node(), probes.examine(needs)
        if shared_file is not None:
            findings.append(_judge_shared(shared_file))
    _show(host, needs, findings, as_json=as_json)
    sys.exit(any(finding.level == "fail" for finding in findings))


def srun_command(needs: "Needs", options: SlurmOptions, shared_file: Path, overrides: Sequence[str]) -> list[str]:
    """The command that runs the same check on one compute node.

    Args:
        needs: of the run; its CPUs are asked for, and its GPUs unless `options.gres` says otherwise.
        options: for srun.
        shared_file: in the run store; the node says whether it sees it.
        overrides: of the configuration.
    """
    gres = options.gres or (f"gpu:{needs.gpus}" if needs.gpus else None)
    cpus = str(needs.cpus) if needs.gpus and needs.cpus else None
    chosen = {"partition": options.partition, "account": options.account, "gres": gres, "cpus-per-task": cpus}
    return [
        "srun",
        "--nodes=1",
        "--ntasks=1",
        *(f"--{name}={value}" for name, value in chosen.items() if value),
        sys.executable,
        "-m",
        "sweeps.cli",
        "doctor",
        "--json",
        f"--shared-file={shared_file}",
        "--",
        *overrides,
    ]


def _composed(overrides: Sequence[str]) -> Mapping[str, object]:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from sweeps.app import compose_run, explain

    try:
        return compose_run(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise _RefusedError(explain(error)) from error


@contextmanager
def _file_in_store(needs: "Needs") -> Iterator[Path]:
    """A file where runs will live, for the node to find."""
    from sweeps.doctor.probes import existing

    path = existing(needs.root) / f".qae-doctor-{uuid.uuid4().hex}"
    try:
        path.touch()
    except OSError as error:
        raise _RefusedError(
            f"{path.parent} cannot be written ({error.strerror}); set sweep.root or $QAE_RUNS"
        ) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _judge_shared(path: Path) -> "Finding":
    from sweeps.doctor.findings import Finding, Level

    deadline = time.monotonic() + _SHARED_SECONDS
    while not path.exists():
        if time.monotonic() >= deadline:
            fix = "set sweep.root or $QAE_RUNS to a file system that all nodes see"
            return Finding("shared store", Level.FAIL, f"{path.parent} is not that of the machine that submits", fix)
        time.sleep(0.2)
    return Finding("shared store", Level.OK, f"{path.parent} is the same as on the machine that submits")


def _on_a_node(command: Sequence[str]) -> "tuple[str, list[Finding]]":
    from sweeps.doctor.findings import Finding, Level

    if shutil.which(command[0]) is None:
        raise _RefusedError("srun is not in PATH: run `qae doctor --slurm` on a login node of a Slurm cluster")
    click.echo(f"asking for a node: {' '.join(command[: command.index(sys.executable)])}", err=True)
    status, printed, reason = _followed(command)
    # Prologues of a cluster may print before our line.
    for line in reversed(printed.splitlines()):
        try:
            report = json.loads(line)
            found = [Finding(**{**one, "level": Level(one["level"])}) for one in report["findings"]]
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            continue
        return str(report["host"]), found
    hint = "; `sinfo -o %R` lists the partitions" if "partition" in reason else ""
    raise _RefusedError(f"srun brought no report back (status {status}): {reason}{hint}")


def _followed(command: Sequence[str]) -> tuple[int, str, str]:
    """Run srun; what it says of the queue is shown as it comes, for a node may be long in coming.

    Returns:
        its exit status, its output, and the last line of its errors.
    """
    reason = "it printed nothing"
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True) as process,  # noqa: S603  # our own words
    ):
        assert process.stderr is not None  # noqa: S101  # it is a pipe
        for line in process.stderr:
            if line.strip():
                reason = line.strip()
                say(reason, err=True)
        status = process.wait()
        output.seek(0)
        return status, output.read(), reason


def _show(host: str, needs: "Needs", findings: "Sequence[Finding]", *, as_json: bool) -> None:
    if as_json:
        report = {"host": host, "model": needs.model, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(report))
        return
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        level = f"{finding.level:<4}"
        mark = level if terminal.no_colour() else click.style(level, fg=_COLOURS[finding.level])
        advice = f"; {finding.fix}" if finding.fix else ""
        click.echo(f"{mark}  {finding.name:<{width}}  {finding.message}{advice}")
    count = {level: sum(finding.level == level for finding in findings) for level in ("fail", "warn")}
    verdict = "is ready" if not count["fail"] else "is not ready"
    click.echo(f"{host} {verdict} for model={needs.model}: {count['fail']} fail, {count['warn']} warn")
