"""What can happen to a job on a real cluster, and that its run ends with the numbers of one that nothing happened to.

All jobs are submitted side by side, each is hit once it has trained for a few steps, then all are waited for. A job
waits for its fault stopped (SIGSTOP), so that no machine is too fast for it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qae.run_directory import RunDirectory, RunState, RunStatus, read_metrics
from sweeps.run_store.identity import run_id
from sweeps.run_store.locking import standing
from sweeps.run_store.store import RunStore
from sweeps.worker.job import Exit
from sweeps.worker.reasons import ExitReason
from tests import ROOT
from tests.slurm import matrix
from tests.slurm.conftest import Cluster
from tests.support.configs import LONG_STEPS, embedded_mapping

pytestmark = pytest.mark.slow

STEPS = 96  # seconds of training: a busy machine still finds each run midway
HIT_AFTER = 3  # the newest checkpoint is that of step 2
WAIT_SECONDS = 240
CALM = ("--exclude=n1,n3",)  # nodes that nothing happens to are left
KEY = "0123456789" * 4


FAULTS = {
    "cancelled": "scancel, then the same command",
    "requeued": "scontrol requeue",
    "preempted": "preemption",
    "torn": "killed while it writes a checkpoint",
    "full_disk": "disk full",
    "lost_node": "node killed",
    "held": "launch failed, requeued and held",
    "out_of_time": "time limit",
    "unwarned": "killed at the time limit",
}
ON_THEIR_OWN = ("out_of_time", "unwarned")  # their fault comes by itself


@dataclass
class Case:
    """A run and its job.

    Attributes:
        root: of its run store.
        directory: the run.
        options: of sbatch.
        job: Slurm's id, once submitted.
        since: seconds since the epoch when it was made.
    """

    root: Path
    directory: RunDirectory
    options: tuple[str, ...] = ()
    job: str = ""
    since: float = field(default_factory=time.time)

    @property
    def output(self) -> Path:
        return self.root / "sweeps" / "batches" / "slurm.out"

    @property
    def state(self) -> RunState:
        return standing(self.directory, self.directory.read_state())

    def submit(self) -> None:
        """Submit it as the launcher does: a batch on disk, a script that is replaced by the job body."""
        batch = self.root / "sweeps" / "batches" / "b1.json"
        batch.parent.mkdir(parents=True, exist_ok=True)
        batch.write_text(json.dumps({"id": "b1", "sweep": "faults", "runs": [self.directory.run_id]}))
        script = f"#!/bin/sh\ncd {ROOT}\nexport PYTHONPATH={ROOT}\nexec {sys.executable} -m slurm.job {batch}\n"
        options = (
            "--array=0",
            "--requeue",
            "--open-mode=append",
            "--parsable",
            f"--output={self.output}",
            *self.options,
        )
        environment = {**os.environ, "WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}
        self.job = slurm("sbatch", *options, text=script, environment=environment) + "_0"

    def wait(self, what: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"{self.state}\n{self.slurm_says()}\n{self.printed()}"
            time.sleep(0.05)

    def stop_midway(self) -> bool:
        """Stop the trainer where it has done a few steps, as a very long step would; whether it has."""
        state = self.directory.read_state()
        if state.status is not RunStatus.RUNNING or state.step < HIT_AFTER or state.pid is None:
            return False
        os.kill(state.pid, signal.SIGSTOP)
        assert self.directory.read_state().step < STEPS
        return True

    @property
    def process(self) -> int:
        process = self.directory.read_state().pid
        assert process is not None
        return process

    def ended(self) -> bool:
        return self.state.status is RunStatus.DONE

    def left(self) -> bool:
        """Whether Slurm has let go of its job."""
        return slurm_state(self.job) not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")

    def printed(self) -> str:
        logs = [self.output, *sorted(self.directory.logs.glob("*.log"))]
        return "\n".join(path.read_text() for path in logs if path.exists())

    def slurm_says(self) -> str:
        return slurm("scontrol", "show", "job", self.job)


def slurm(*command: str, text: str | None = None, environment: dict[str, str] | None = None) -> str:
    ended = subprocess.run(
        command, input=text, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert ended.returncode == 0, f"{command}: {ended.stderr}"
    return ended.stdout.strip()


def slurm_field(job: str, name: str) -> str:
    found = re.search(rf"\b{name}=(\S*)", slurm("scontrol", "show", "job", "--oneliner", job))
    assert found is not None
    return found[1]


def slurm_state(job: str) -> str:
    return slurm_field(job, "JobState")


def drained_nodes() -> list[str]:
    return slurm("sinfo", "--noheader", "--Node", "--partition=low", "--states=drain", "--format=%N").splitlines()


def parent(process: int) -> int:
    found = re.search(r"^PPid:\s*(\d+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def is_warned(process: int) -> bool:
    """Whether USR2 waits for a stopped process, or has ended it: Slurm may let a stopped job go on by itself."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return True
    found = re.search(r"^ShdPnd:\s*(\w+)", text, re.MULTILINE)
    assert found is not None
    return bool(int(found[1], 16) >> (signal.SIGUSR2 - 1) & 1)


def hold_still(process: int) -> None:
    """Stop a process whenever something lets it go on, until it is killed: a step longer than Slurm waits for it."""
    with suppress(ProcessLookupError, FileNotFoundError):
        while True:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in ("T", "Z"):
                os.kill(process, signal.SIGSTOP)
            time.sleep(0.005)


class Faults:
    """All cases, side by side: made and submitted, hit, waited for."""

    def __init__(self, folder: Path, small_disk: Path, cluster: Cluster) -> None:
        self._folder = folder
        self._cluster = cluster
        self.reference = self._case("reference", CALM)
        self.preempted = self._case("preempted", ("--nodelist=n1",), "tracking.backend=wandb")
        self.out_of_time = self._case("out-of-time", (*CALM, "--time=2", "--signal=B:USR2@60"))
        self.unwarned = self._case("unwarned", (*CALM, "--time=1"))
        self.cancelled = self._case("cancelled", CALM)
        self.requeued = self._case("requeued", CALM)
        self.lost_node = self._case("lost-node", ("--nodelist=n3",))
        self.held = self._case("held", CALM)
        self.full_disk = self._case("full-disk", CALM, root=small_disk)
        self.torn = self._case("torn-checkpoint", CALM)
        self.failing = self._case("failing", CALM, "data.reward_noise.random=1.0")
        self.unreadable = self._case("unreadable", CALM)
        self.unreadable.directory.state.write_text("no state\n")
        self.rows: dict[str, matrix.Row] = {}
        self.exits: dict[str, tuple[str, str]] = {}
        self.slurm_after_full_disk = ""
        self.after_full_disk = RunState()
        self.held_for = ""
        self.slurm_after_limit = ""

    def play(self) -> None:
        """Submit all, let each fault happen, wait for all."""
        for name in ON_THEIR_OWN:
            case = getattr(self, name)
            case.submit()  # before the others slow it down
            case.wait(case.stop_midway)
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(self._run_out_of_time), pool.submit(self._run_into_the_limit)]
            self._play_the_others()
            for each in waiting:
                each.result()
        for name, fault in FAULTS.items():
            case = getattr(self, name)
            case.wait(case.ended)
            self.rows[name] = matrix.compare(fault, case.directory, self.reference.directory, case.since)

    def _play_the_others(self) -> None:
        self._submit_others()
        self._stop_others()
        self._lose_node()
        self._cancel()
        self._requeue()
        self._preempt()
        self._kill_in_checkpoint()
        self._fill_disk()
        self._hold()
        self._node_comes_back()
        for case in (self.cancelled, self.torn, self.full_disk):
            case.wait(case.left)
            case.submit()
        for case in (self.reference, self.failing, self.unreadable):
            case.wait(case.left)  # Slurm forgets a job after a while
            self.exits[case.root.name] = slurm_state(case.job), slurm_field(case.job, "ExitCode")

    def _case(self, name: str, options: tuple[str, ...], *overrides: str, root: Path | None = None) -> Case:
        # So many facts make a checkpoint larger than a pipe holds: its writer waits for a reader.
        settings = (f"trainer.total_training_steps={STEPS}", "tabular.facts=5000", "tracking.backend=none")
        config = embedded_mapping(*LONG_STEPS, *settings, *overrides)
        root = root or self._folder / name
        return Case(root, RunStore(root).create(run_id(config), config), ("--cpus-per-task=1", "--mem=1G", *options))

    def _submit_others(self) -> None:
        for case in vars(self).values():
            if isinstance(case, Case) and not case.job:
                case.submit()

    def _stop_others(self) -> None:
        running = [getattr(self, name) for name in FAULTS if name not in ON_THEIR_OWN]

        def all_stopped() -> bool:
            for case in list(running):
                if case.stop_midway():
                    running.remove(case)
            return not running

        self.reference.wait(all_stopped)

    def _cancel(self) -> None:
        slurm("scancel", self.cancelled.job)

    def _requeue(self) -> None:
        slurm("scontrol", "requeue", self.requeued.job)

    def _preempt(self) -> None:
        options = ("--partition=high", "--nodelist=n1", "--exclusive", "--output=/dev/null")
        slurm("sbatch", *options, text="#!/bin/sh\nsleep 1\n")

    def _kill_in_checkpoint(self) -> None:
        """A pipe stands where the next checkpoint is written: the writer is killed with a part of it gone in."""
        process = self.torn.process
        step = self.torn.directory.read_state().step
        unfinished = self.torn.directory.checkpoints / f".step-{step // 2 * 2 + 2:06d}.pt.{process}.tmp"
        os.mkfifo(unfinished)
        os.kill(process, signal.SIGCONT)
        with unfinished.open("rb", buffering=0) as pipe:
            part = pipe.read(1000)
            os.kill(process, signal.SIGKILL)
        unfinished.unlink()
        unfinished.write_bytes(part)

    def _fill_disk(self) -> None:
        process = self.full_disk.process
        filler = self.full_disk.root / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.kill(process, signal.SIGCONT)
        self.full_disk.wait(self.full_disk.left)
        self.slurm_after_full_disk = slurm_state(self.full_disk.job)
        self.after_full_disk = self.full_disk.state
        filler.unlink()

    def _lose_node(self) -> None:
        """Power is lost on all at once: no step daemon is left to report the death of its job."""
        os.kill(parent(self.lost_node.process), signal.SIGKILL)
        self._cluster.node("kill-node", "n3")

    def _node_comes_back(self) -> None:
        self.lost_node.wait(lambda: slurm_field(self.lost_node.job, "Restarts") == "1")
        self._cluster.node("start-node", "n3")

    def _hold(self) -> None:
        """Queued again, it meets a node that cannot start it: Slurm holds it until somebody releases it."""
        while not self._launch_fails():
            self.held = self._case(f"held-after-{self.held.job}", CALM)
            self.held.submit()
            self.held.wait(self.held.stop_midway)
        self.held_for = slurm_field(self.held.job, "Reason")
        self.held.wait(drained_nodes)  # a moment after the hold, where the machine is busy
        for node in drained_nodes():
            self._cluster.node("start-node", node)
        slurm("scontrol", "release", self.held.job)

    def _launch_fails(self) -> bool:
        """Queue the job again on a node that fails; it starts all the same where Slurm leaves the node's Prolog out."""
        case = self.held
        self._cluster.node("fail-launch", slurm_field(case.job, "JobId"))
        slurm("scontrol", "requeue", case.job)
        case.wait(lambda: "held" in slurm_field(case.job, "Reason") or case.state.attempt > 1)
        return "held" in slurm_field(case.job, "Reason")

    def _run_out_of_time(self) -> None:
        process = self.out_of_time.process
        self.out_of_time.wait(lambda: is_warned(process))
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)
        self.out_of_time.wait(lambda: slurm_state(self.out_of_time.job) == "PENDING")
        slurm("scontrol", "update", f"JobId={self.out_of_time.job}", "TimeLimit=30")

    def _run_into_the_limit(self) -> None:
        case = self.unwarned
        hold_still(case.process)
        case.wait(case.left)
        self.slurm_after_limit = slurm_state(case.job)
        case.options = tuple(option for option in case.options if option != "--time=1")
        case.submit()


@pytest.fixture(scope="module")
def faults(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    folder = tmp_path_factory.mktemp("faults")
    small_disk = folder / "small"
    small_disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small_disk], check=True, capture_output=True)
    try:
        played = Faults(folder, small_disk, cluster)
        played.play()
        yield played
    finally:
        subprocess.run(["umount", "--lazy", small_disk], check=True)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.fault(text)) for name, text in FAULTS.items()])
def test_a_run_that_is_hit_ends_as_one_that_is_not(faults: Faults, name: str, request: pytest.FixtureRequest) -> None:
    row = faults.rows[name]
    matrix.record(request, row)
    assert row.interruptions >= 1  # it was hit
    assert (row.equal, row.lost, row.doubled) == (True, 0, 0)
    case: Case = getattr(faults, name)
    steps = [record["step"] for record in read_metrics(case.directory).records]
    assert steps == list(range(STEPS + 1))
    assert not list(case.directory.checkpoints.glob(".*"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("preempted", ExitReason.PREEMPTION),
        ("requeued", ExitReason.PREEMPTION),
        ("held", ExitReason.PREEMPTION),
        ("out_of_time", ExitReason.TIME_LIMIT),
        ("unwarned", ExitReason.KILLED),
        ("cancelled", ExitReason.CANCELLED),
        ("lost_node", ExitReason.NODE_FAILURE),
        ("full_disk", ExitReason.DISK_FULL),
        ("torn", ExitReason.KILLED),
    ],
)
def test_a_run_keeps_why_its_attempts_ended(faults: Faults, name: str, reason: ExitReason) -> None:
    case: Case = getattr(faults, name)
    state = case.directory.read_state()
    assert (state.status, state.reasons, state.exit_reason) == (RunStatus.DONE, {reason.value: 1}, None)
    assert (state.attempt, state.job) == (2, case.job)
    assert state.node in {"preempted": ("n1",), "lost_node": ("n3",)}.get(name, ("n2", "n4"))


def test_a_full_disk_fails_the_job_and_leaves_the_run_to_be_continued(faults: Faults) -> None:
    assert faults.slurm_after_full_disk == "FAILED"
    after = faults.after_full_disk
    assert (after.status, after.exit_reason) == (RunStatus.PREEMPTED, ExitReason.DISK_FULL)
    assert after.reason is not None
    assert "No space left on device" in after.reason


def test_a_crash_that_comes_again_at_the_same_step_is_a_failure_in_slurm_too(faults: Faults) -> None:
    state = faults.failing.directory.read_state()
    assert (state.status, state.attempt, state.reasons) == (RunStatus.FAILED, 2, {"crash": 2})
    assert state.settled == state.reasons  # a retry counts anew
    assert state.reason is not None
    assert "nothing to learn from" in state.reason
    assert faults.exits["failing"] == ("FAILED", f"{Exit.FAILED:d}:0")


def test_a_run_directory_that_cannot_be_read_is_a_sentence_and_is_left_alone(faults: Faults) -> None:
    case = faults.unreadable
    assert faults.exits["unreadable"] == ("FAILED", f"{Exit.FAILED:d}:0")
    said = case.output.read_text()
    assert said.count("\n") == 1
    assert "is not a run state" in said
    assert case.directory.state.read_text() == "no state\n"


def test_a_time_limit_and_a_hold_are_what_slurm_says(faults: Faults) -> None:
    assert slurm_field(faults.out_of_time.job, "Restarts") == "1"
    assert faults.slurm_after_limit == "TIMEOUT"
    assert faults.held_for == "launch_failed_requeued_held"
    assert faults.exits["reference"] == ("COMPLETED", "0:0")


def test_the_key_of_wandb_is_in_no_file(faults: Faults) -> None:
    """The jobs had it in their environment, and one of them tracked with W&B."""
    files = [path for path in faults.preempted.root.parent.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".wandb"]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
