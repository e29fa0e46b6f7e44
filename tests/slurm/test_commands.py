"""`qae status`, `cancel`, `throttle`, `retry` and `resume` on jobs of a real cluster.

Three sweeps are submitted side by side. Jobs that are to be met while they run wait for that stopped (SIGSTOP), so that
no machine is too fast for it; each test then looks at what became of a part.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from qae.run_directory import RunDirectory, RunState, RunStatus, read_metrics
from slurm.executor import SlurmExecutor
from slurm.queue_cache import jobs_of
from sweeps.cli import main
from sweeps.launching.launch import launch
from sweeps.launching.plan import Job
from sweeps.run_store.identity import run_id
from sweeps.run_store.locking import exclusive
from sweeps.run_store.store import ManifestRun, RunStore
from sweeps.worker.attempt import run_job
from sweeps.worker.reasons import ExitReason
from tests.slurm import matrix
from tests.slurm.conftest import Cluster
from tests.support.configs import LONG_STEPS, embedded_mapping

pytestmark = pytest.mark.slow

STEPS = 96  # seconds of training: a busy machine still finds each run midway
HIT_AFTER = 3  # the newest checkpoint is that of step 2
WAIT_SECONDS = 240
_HOUR = 3600


def config_of(seed: int, root: Path, *more: str) -> dict[str, object]:
    settings = ("tracking.backend=none", "resources.memory=1G", "slurm.partition=low", f"seed={seed}")
    here = (f"sweep.root={root}", "sweep.wait=false", "sweep.snapshot=false")
    return embedded_mapping(*LONG_STEPS, f"trainer.total_training_steps={STEPS}", *settings, *here, *more)


class Played:
    """All commands, one after another where they follow from each other."""

    def __init__(self, folder: Path) -> None:
        self.store = RunStore(folder / "runs")
        self.said: dict[str, str] = {}
        self.shown: dict[str, dict[int, dict[str, object]]] = {}
        self.since = time.time()
        # The seed is all that tells these runs apart.
        self._configs = {seed: config_of(seed, self.store.root) for seed in range(6)}
        self._runs = {seed: self.store.directory(run_id(config)) for seed, config in self._configs.items()}
        self._launch("one", (0, 1))
        self._launch("two", (2, 3))
        self._spoil(4, ExitReason.CUDA_MEMORY)
        self._spoil(5, ExitReason.CRASH)
        self.qae("retry", "--oom", "spoilt")
        self._wait(lambda: all([self._stop_midway(0), self._stop_midway(2)]), "two runs to be under way")
        self._look("first")
        self.qae("cancel", "one", "--where", "seed=1")
        self.qae("cancel", "--where", "seed=0", name="cancel running")
        self.qae("throttle", "2", "two")
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(self._wait, lambda: self._stop_midway(3), "the second of the array to be under way")
            self._resume_cancelled()
            second.result()
        self._look("side by side")
        self._hold()
        self.reference = {seed: self._uninterrupted(seed, RunStore(folder / "reference")) for seed in (0, 1, 2)}
        self._wait(lambda: all(self.state(seed).status is RunStatus.DONE for seed in range(5)), "all runs to end")

    def qae(self, *arguments: str, name: str | None = None) -> str:
        result = CliRunner().invoke(main, [*arguments, "--root", str(self.store.root)])
        assert result.exit_code == 0, result.output
        self.said[name or arguments[0]] = result.output
        return result.output

    def run(self, seed: int) -> RunDirectory:
        return self._runs[seed]

    def state(self, seed: int) -> RunState:
        return self.run(seed).read_state()

    def queued(self, seed: int) -> bool:
        return self.run(seed).run_id in jobs_of(self.store.root, fresh=True)

    def slurm(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout

    def _launch(self, name: str, seeds: tuple[int, ...]) -> None:
        jobs = [
            Job((f"seed={seed}",), config_of(seed, self.store.root, f"sweep.name={name}", "slurm.throttle=1"))
            for seed in seeds
        ]
        console = Console(record=True, width=200, file=Path(os.devnull).open("w"))  # noqa: SIM115
        assert launch(jobs, SlurmExecutor(jobs[0].config), console).exit_code == 0, console.export_text()

    def _spoil(self, seed: int, reason: ExitReason) -> None:
        """A run that a job left as failed."""
        directory = self.store.create(self.run(seed).run_id, self._configs[seed])
        counts = {str(reason): 2}
        failed = RunState(
            RunStatus.FAILED, 0, STEPS, 2, job="1_0", exit_reason=reason, reasons=counts, settled=counts, reason="no"
        )
        directory.write_state(failed)
        self.store.record_sweep("spoilt", [], [ManifestRun(directory.run_id, (f"seed={seed}",))])

    def _uninterrupted(self, seed: int, store: RunStore) -> RunDirectory:
        directory = store.create(self.run(seed).run_id, self._configs[seed])
        with exclusive(directory):
            assert run_job(directory, "reference", []) is RunStatus.DONE
        return directory

    def _resume_cancelled(self) -> None:
        self._wait(lambda: self.state(0).status is RunStatus.CANCELLED and not self.queued(0), "the job to be gone")
        self._look("cancelled")
        self.checkpoint = sorted(path.name for path in self.run(0).checkpoints.glob("*.pt"))[-1]
        self.stopped_after = self.state(0).step
        self.qae("resume", "one")
        self.qae("throttle", "0", "one", name="throttle off")

    def _hold(self) -> None:
        job = str(self.state(2).job)
        os.kill(self.state(3).pid or 0, signal.SIGCONT)
        self.slurm("scontrol", "requeuehold", job)
        self._wait(lambda: jobs_of(self.store.root, fresh=True)[self.run(2).run_id].is_held, "the job to be held")
        self._look("held")
        self.qae("status", "two", name="status held")
        self.qae("resume", "two", name="resume held")

    def _look(self, name: str) -> None:
        lines = [json.loads(line) for line in self.qae("status", "one", "two", "--json").splitlines() if line[0] == "{"]
        self.shown[name] = dict(enumerate(lines))

    def _stop_midway(self, seed: int) -> bool:
        state = self.state(seed)
        if state.status is not RunStatus.RUNNING or state.step < HIT_AFTER or state.pid is None:
            return False
        os.kill(state.pid, signal.SIGSTOP)
        assert self.state(seed).step < STEPS
        return True

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited for {what}\n{self.qae('status')}\n{self.slurm('squeue')}"
            time.sleep(0.03)


@pytest.fixture(scope="module")
def played(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Played:  # noqa: ARG001
    return Played(tmp_path_factory.mktemp("commands"))


def test_status_says_what_runs_and_why_others_wait(played: Played) -> None:
    shown = played.shown["first"]
    assert [shown[seed]["status"] for seed in range(4)] == ["running", "queued", "running", "queued"]
    assert [shown[seed]["reason"] for seed in (1, 3)] == ["JobArrayTaskLimit", "JobArrayTaskLimit"]
    for seed in range(4):
        array, _, index = str(shown[seed]["job"]).partition("_")
        assert array.isdecimal()
        assert index == str(seed % 2)
    assert str(shown[0]["node"]) in ("n1", "n2", "n3", "n4")
    assert shown[1]["node"] is None
    assert isinstance(shown[0]["actor/entropy"], float)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_job_that_is_cancelled_ends_cancelled_and_resumes_as_never_cancelled(played: Played, seed: int) -> None:
    shown = played.shown["cancelled"][seed]
    assert shown["status"] == "cancelled"
    if seed == 0:
        assert played.said["cancel running"].startswith("Cancelled 1 job; stopping 0 runs")
        assert shown["exit_reason"] == ExitReason.CANCELLED
        assert played.checkpoint == f"step-{played.stopped_after:06d}.pt"
        assert HIT_AFTER <= played.stopped_after < STEPS
    else:
        assert played.said["cancel"].startswith("Cancelled 1 job; stopping 0 runs")
        assert (shown["reason"], shown["attempt"]) == ("cancelled while it waited", 0)
    row = matrix.compare("", played.run(seed), played.reference[seed], played.since)
    assert (row.equal, row.lost, row.doubled, row.interruptions) == (True, 0, 0, 1 - seed)
    assert [line["step"] for line in read_metrics(played.run(seed)).records] == list(range(STEPS + 1))


def test_a_throttle_is_changed_while_jobs_run(played: Played) -> None:
    array = str(played.shown["first"][2]["job"]).partition("_")[0]
    assert played.said["throttle"] == f"1 job array changed: {array}.\n"
    shown = played.shown["side by side"]
    assert [shown[seed]["status"] for seed in (2, 3)] == ["running", "running"]
    assert played.said["throttle off"].startswith("1 job array changed: ")


def test_a_job_that_is_held_is_shown_so_and_resume_releases_it(played: Played) -> None:
    run, shown = played.run(2), played.shown["held"][2]
    assert shown["status"] == "held"
    assert str(shown["reason"]).endswith(f"; `qae resume {run.run_id}` releases it")
    assert "1 held" in played.said["status held"]
    assert played.said["resume held"] == f"Released 1 held job: {shown['job']}.\n"
    state = run.read_state()
    assert (state.status, state.attempt, state.job) == (RunStatus.DONE, 2, shown["job"])
    row = matrix.compare("", run, played.reference[2], played.since)
    assert (row.equal, row.lost, row.doubled) == (True, 0, 0)


def test_retry_starts_what_ran_out_of_memory_as_a_job_again(played: Played) -> None:
    assert "Submitted 1 job in 1 array" in played.said["retry"]
    retried, other = played.state(4), played.state(5)
    assert (retried.status, retried.attempt, other.status) == (RunStatus.DONE, 3, RunStatus.FAILED)
    assert retried.job not in (None, "1_0")


def test_watching_ends_when_all_runs_are_over(played: Played) -> None:
    assert "4 runs: 4 done" in played.qae("status", "--watch", "one", "two", name="watch")


def test_a_run_that_waits_for_a_job_that_is_gone_is_shown_so(played: Played) -> None:
    root = played.store.root.parent / "forgotten"
    shutil.copytree(played.store.root / "sweeps", root / "sweeps")
    directory = RunStore(root).create("0123456789ab", config_of(0, root))
    directory.write_state(RunState(RunStatus.QUEUED, 0, STEPS, job="999999_0"))

    def reason() -> object:
        result = CliRunner().invoke(main, ["status", "0123", "--json", "--root", str(root)])
        return json.loads(result.output.splitlines()[0])["reason"]

    assert reason() is None  # it may be on its way into the queue
    os.utime(directory.state, (time.time() - _HOUR, time.time() - _HOUR))
    assert reason() == "its job is not in your queue any more; `qae resume` submits it again"


def test_commands_of_the_same_moment_share_one_call_of_squeue(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    program = tmp_path / "squeue"
    program.write_text(f'#!/bin/sh\necho called >> {calls}\nexec {shutil.which("squeue")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for remembered in (played.store.root / "sweeps").glob(".queue-*"):
        remembered.unlink()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: jobs_of(played.store.root), range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert calls.read_text() == "called\n"
    jobs_of(played.store.root, fresh=True)
    assert calls.read_text() == "called\ncalled\n"  # who is about to act asks anew


def test_where_squeue_is_not_there_files_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RunStore(tmp_path).create("0123456789ab", {"backend": "tiny", "trainer": {"total_training_steps": 1}})
    (tmp_path / "sweeps" / "batches").mkdir(parents=True)
    monkeypatch.setenv("PATH", "/nowhere")
    result = CliRunner().invoke(main, ["status", "--root", str(tmp_path)])
    assert result.exit_code == 0
    assert "What is in the queue is not known: squeue is not in PATH" in result.output
    assert "0123456789ab" in result.output
    result = CliRunner().invoke(main, ["cancel", "--all", "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output.strip() == "Error: squeue is not in PATH: launch on a login node of a Slurm cluster"
