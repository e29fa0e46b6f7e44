"""What a soak does to a cluster: launchers, and the faults that hit them, jobs, nodes, the disk and the clock."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from qae.run_directory import RunDirectory, RunStatus
from sweeps.run_store.locking import is_locked
from sweeps.run_store.store import RunStore, StoreError
from tests import ROOT
from tests.slurm.conftest import Cluster

CLOCK_FOLDER = Path(__file__).parent / "jumping_clock"
_COMMAND_SECONDS = 60
_NODES = ("n1", "n2", "n3", "n4")
_LONGEST_JUMP = 7200.0  # seconds


class MissedError(Exception):
    """There was nothing for a fault to hit."""


@dataclass
class Sweep:
    """A sweep's command, and the launcher that runs it now.

    Attributes:
        name: of the sweep.
        arguments: of ``sweep.py``.
        runs: how many runs it has.
    """

    name: str
    arguments: tuple[str, ...]
    runs: int
    process: subprocess.Popen[bytes] | None = None

    def is_followed(self) -> bool:
        """Whether a launcher runs."""
        return self.process is not None and self.process.poll() is None


@dataclass
class World:
    """A store on a small disk, a cluster, sweeps and a clock.

    Attributes:
        cluster: that the jobs run on.
        folder: for what the launchers print and for the clock.
        root: of the run store, on a disk of its own.
        sweeps: that are launched.
        random: draws what is hit.
    """

    cluster: Cluster
    folder: Path
    root: Path
    sweeps: tuple[Sweep, ...]
    random: random.Random

    @property
    def clock(self) -> Path:
        """Holds by how many seconds the clock of launchers and jobs is ahead."""
        return self.folder / "clock"

    @property
    def filler(self) -> Path:
        """Takes the room of the disk."""
        return self.root / ".filler"

    def launch(self, sweep: Sweep, *more: str) -> None:
        """Start a sweep's command."""
        path = os.pathsep.join(filter(None, (str(CLOCK_FOLDER), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "QAE_SOAK_CLOCK": str(self.clock), "COLUMNS": "200"}
        with (self.folder / f"{sweep.name}.log").open("ab") as log:
            sweep.process = subprocess.Popen(
                [sys.executable, "sweep.py", *sweep.arguments, f"sweep.root={self.root}", *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=environment,
            )  # fmt: skip

    def undone(self) -> list[str]:
        """Ids of the runs that are not done, one more for each that no launcher has written down yet."""
        found = self._runs()
        to_come = max(0, sum(sweep.runs for sweep in self.sweeps) - len(found))
        return [run.run_id for run in found if _status(run) is not RunStatus.DONE] + [""] * to_come

    def is_done(self, sweep: Sweep) -> bool:
        """Whether all runs of a sweep are."""
        try:
            listed = [run.id for run in RunStore(self.root).manifest(sweep.name).runs]
        except (FileNotFoundError, StoreError):
            return False
        return len(listed) == sweep.runs and all(
            _status(RunDirectory(self.root / run)) is RunStatus.DONE for run in listed
        )

    def running(self) -> RunDirectory:
        """A run that a job trains right now.

        Raises:
            MissedError: there is none.
        """
        found = [run for run in self._runs() if _status(run) is RunStatus.RUNNING and is_locked(run)]
        if not found:
            raise MissedError
        return self.random.choice(found)

    def calm(self) -> None:
        """Take all faults back that last."""
        self.filler.unlink(missing_ok=True)
        self.clock.write_text("0")
        self.cluster.controller("start-controller")
        for node in _NODES:
            self.cluster.node("start-node", node)

    def end(self) -> None:
        """Stop launchers that still run."""
        for sweep in self.sweeps:
            if sweep.process is not None and sweep.is_followed():
                sweep.process.terminate()
                sweep.process.wait(_COMMAND_SECONDS)

    def release_held(self) -> None:
        """Let jobs start that Slurm holds, as `qae resume` would."""
        with suppress(MissedError):
            listed = _slurm("squeue", "--noheader", "--array", "--states=PENDING", "--format=%i|%r").splitlines()
            for job, _, reason in (line.partition("|") for line in listed):
                if "held" in reason.lower():
                    _slurm("scontrol", "release", job)

    def _runs(self) -> list[RunDirectory]:
        return RunStore(self.root).runs()


def _preempt(world: World) -> str:
    node = _field(world.running(), "node")
    options = ("--partition=high", f"--nodelist={node}", "--exclusive", "--output=/dev/null")
    _slurm("sbatch", *options, text="#!/bin/sh\nsleep 1\n")
    return f"jobs on {node} are preempted"


def _kill_node(world: World) -> str:
    node = _field(world.running(), "node")
    away = world.random.uniform(0.5, 8)
    world.cluster.node("kill-node", node)
    time.sleep(away)
    world.cluster.node("start-node", node)
    return f"{node} lost power for {away:.1f} s"


def _restart_controller(world: World) -> str:
    away = world.random.uniform(0, 5)
    world.cluster.controller("stop-controller")
    time.sleep(away)
    world.cluster.controller("start-controller")
    return f"slurmctld was gone for {away:.1f} s"


def _kill_launcher(world: World) -> str:
    followed = [sweep for sweep in world.sweeps if sweep.is_followed()]
    if not followed:
        raise MissedError
    sweep = world.random.choice(followed)
    assert sweep.process is not None
    sweep.process.kill()
    sweep.process.wait()
    return f"the launcher of {sweep.name} was killed"


def _fill_disk(world: World) -> str:
    world.running()
    away = world.random.uniform(0.5, 4)
    try:
        with suppress(OSError), world.filler.open("wb", buffering=0) as file:
            for block in (1 << 20, 4096):
                with suppress(OSError):
                    while file.write(bytes(block)) == block:
                        pass
        time.sleep(away)
    finally:
        world.filler.unlink(missing_ok=True)
    return f"the disk was full for {away:.1f} s"


def _jump(world: World) -> str:
    world.running()
    ahead = world.random.uniform(-_LONGEST_JUMP, _LONGEST_JUMP)
    world.clock.write_text(f"{ahead:.3f}")
    return f"the clock jumped to {ahead:+.0f} s"


def _kill_process(world: World) -> str:
    run = world.running()
    process = run.read_state().pid
    if process is None or not is_locked(run):
        raise MissedError
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    return f"the trainer of {run.run_id} was killed"


def _requeue(world: World) -> str:
    job = _field(world.running(), "job")
    _slurm("scontrol", "requeue", job)
    return f"job {job} was requeued"


def _cancel(world: World) -> str:
    job = _field(world.running(), "job")
    _slurm("scancel", job)
    return f"job {job} was cancelled"


FAULTS: Mapping[str, Callable[[World], str]] = MappingProxyType(
    {
        "preemption": _preempt,
        "node kill": _kill_node,
        "controller restart": _restart_controller,
        "launcher kill": _kill_launcher,
        "full disk": _fill_disk,
        "clock jump": _jump,
        "trainer kill": _kill_process,
        "requeue": _requeue,
        "scancel": _cancel,
    }
)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own while the block runs."""
    path = folder / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], check=True, capture_output=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def _status(run: RunDirectory) -> RunStatus:
    return run.read_state().status


def _field(run: RunDirectory, name: str) -> str:
    value = getattr(run.read_state(), name)
    if value is None:
        raise MissedError
    return str(value)


def _slurm(*command: str, text: str | None = None) -> str:
    """What a command of Slurm prints; one that fails has come too late for its job."""
    ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS)
    if ended.returncode:
        raise MissedError
    return ended.stdout
