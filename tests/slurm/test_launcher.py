"""Sweeps through `hydra/launcher=slurm` on a real cluster: submitted, followed, killed, launched twice, refused.

Everything is launched side by side at first; each test then looks at what became of a part of it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from optuna.trial import TrialState

from analysis import study
from qae.run_directory import RunDirectory, RunState, RunStatus
from slurm.batches import Batch, BatchStore
from slurm.queue import client
from sweeps.run_store.store import RunStore
from tests import ROOT
from tests.guard.test_live import AT_STEP_4
from tests.slurm import matrix
from tests.slurm.conftest import Cluster
from tests.support.configs import QUICK

pytestmark = pytest.mark.slow

CROWDED = "crowded"  # an account whose users may have a single job in the queue
KEY = "0123456789" * 4
WAIT_SECONDS = 300
HOSTILE_FOLDER = "runs %j 'q' $(touch pwned) #x"
HOSTILE_TEXT = "x'; $(touch pwned) \\\"#"
LAUNCH = ("-m", "hydra/launcher=slurm", "site=local", *QUICK)
FORKS_AT_STEP_4 = ("guard=entropy", "guard.drift=null", "guard.explosion.action=fork", *AT_STEP_4)
PLAIN = ("tracking=none", "sweep.parts=[]", "resources.memory=1G")

# What sbatch is replaced by: the real one, and the launcher's death around it.
DEATHS = {
    "after": 'answer=$("$SBATCH" "$@"); kill -9 $PPID; echo "$answer"',
    "during": 'kill -9 $PPID; sleep 2; exec "$SBATCH" "$@"',
    "before": "kill -9 $PPID",
}


@dataclass
class Launch:
    """A run store and the launchers that work on it."""

    root: Path
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    since: float = field(default_factory=time.time)

    def start(self, *more: str, path: Path | None = None) -> subprocess.Popen[str]:
        variables = {**os.environ, **self.environment, "WANDB_API_KEY": KEY, "WANDB_MODE": "offline", "COLUMNS": "200"}
        variables["QAE_RUNS"] = str(self.root)
        if path is not None:
            variables["PATH"] = f"{path}:{variables['PATH']}"
        return subprocess.Popen(
            [sys.executable, str(ROOT / "sweep.py"), *LAUNCH, *self.arguments, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.root.parent,
            env=variables,
            start_new_session=True,
        )

    @property
    def batches(self) -> Sequence[Batch]:
        return list(BatchStore(self.root).all())

    @property
    def runs(self) -> list[RunDirectory]:
        return RunStore(self.root).runs()

    @property
    def states(self) -> list[RunState]:
        return [run.read_state() for run in self.runs]

    def jobs(self) -> list[str]:
        """Every job that Slurm ever had of this store, by accounting."""
        return sorted({job.array for job in client.accounting([b.job_name for b in self.batches], self.since)})


def _read_until(output: IO[str], words: str) -> str:
    """What comes up to the line with these words; all of it where there is none."""
    said = ""
    for line in output:
        said += line
        if words in line:
            break
    return said


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, output


def wait_for(condition: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


class Played:
    """All launches, side by side."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self._folder = folder
        self.mixed = self._launch(
            "mixed",
            "sweep.parts=[{seed:[0,1,2],resources.memory:[1G],slurm.throttle:[2]},{seed:[3],resources.memory:[3G]},"
            "{seed:[4],resources.memory:[1G],data.reward_noise.random:[1.0]}]",
            f"+slurm.options.comment='{HOSTILE_TEXT.replace(chr(39), chr(92) + chr(39))}'",
            name=HOSTILE_FOLDER,
        )
        self.dead = {when: self._launch(f"dead-{when}", "seed=0", *PLAIN) for when in DEATHS}
        self.twice = self._launch("twice", "seed=0,1", *PLAIN)
        self.restarted = self._launch("restarted", *PLAIN)
        self.crowded = self._launch("crowded", "seed=0,1", *PLAIN, f"slurm.account={CROWDED}")
        space = ("hydra/sweeper=optuna", "algorithm.quantile_k=interval(0.1,0.9)", "search.n_trials=2")
        self.search = self._launch("search", *space, "search.n_jobs=2", "seed=0", "sweep.name=s", *PLAIN)
        self.forked = self._launch("forked", "seed=0", "algorithm.quantile_k=0.8", *FORKS_AT_STEP_4, *PLAIN)
        self.outputs: dict[str, tuple[int, str]] = {}
        self.killed_by: dict[str, int] = {}
        self.jobs_after_death: dict[str, int] = {}
        mixed = self.mixed.start()
        dying = {when: launch.start(path=self._replaced_sbatch(when)) for when, launch in self.dead.items()}
        both = [self.twice.start() for _ in range(2)]
        crowded = self.crowded.start()
        searching = self.search.start()
        forking = self.forked.start()
        for when, process in dying.items():
            self.killed_by[when] = ended(process)[0]
        again = {when: launch.start("sweep.wait=false") for when, launch in self.dead.items()}
        for when, process in again.items():
            self.outputs[f"again-{when}"] = ended(process)
            self.jobs_after_death[when] = len(self.dead[when].batches)
        wait_for(lambda: any(state.attempt for state in self.search.states), "a run of the search to start")
        searching.kill()
        self.outputs["killed search"] = ended(searching)
        self._restart_controller(cluster)
        self.outputs["search"] = ended(self.search.start())
        self.outputs["mixed"] = ended(mixed)
        self.outputs["forked"] = ended(forking)
        self.outputs["twice-0"], self.outputs["twice-1"] = ended(both[0]), ended(both[1])
        self.outputs["crowded"] = ended(crowded)
        everything = [*self.dead.values(), self.restarted]
        wait_for(lambda: all(s.status is RunStatus.DONE for launch in everything for s in launch.states), "all runs")

    def _restart_controller(self, cluster: Cluster) -> None:
        """Its launcher is stopped by Ctrl-C; the next one starts while nobody answers, and attaches.

        The run waits for that stopped, so that no machine is too fast for it.
        """
        leaving = self.restarted.start("seed=0")
        wait_for(lambda: any(state.status is RunStatus.RUNNING for state in self.restarted.states), "a run to run")
        (running,) = self.restarted.states
        assert running.pid is not None
        os.kill(running.pid, signal.SIGSTOP)
        os.kill(leaving.pid, signal.SIGINT)
        self.outputs["left"] = ended(leaving)
        cluster.controller("stop-controller")
        attached = self.restarted.start("seed=0,1")
        assert attached.stdout is not None
        said = _read_until(attached.stdout, "Slurm does not answer")
        cluster.controller("start-controller")
        said += _read_until(attached.stdout, "to attach to")
        os.kill(running.pid, signal.SIGCONT)
        code, rest = ended(attached)
        self.outputs["attached"] = (code, said + rest)

    def _launch(self, folder: str, *arguments: str, name: str = "runs") -> Launch:
        (self._folder / folder).mkdir()
        return Launch(self._folder / folder / name, arguments)

    def _replaced_sbatch(self, when: str) -> Path:
        real = shutil.which("sbatch")
        folder = self._folder / f"dead-{when}" / "bin"
        folder.mkdir()
        program = folder / "sbatch"
        program.write_text(f"#!/bin/sh\nSBATCH={real}\n{DEATHS[when]}\n")
        program.chmod(0o755)
        return folder


@pytest.fixture(scope="module")
def played(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Played:
    for what in (("account", CROWDED), ("user", "root", f"account={CROWDED}", "maxsubmitjobs=1")):
        subprocess.run(["sacctmgr", "-i", "add", *what], check=False, capture_output=True)  # it may be there already
    wait_for(lambda: client.limits(CROWDED).submit == 1, "the limit to hold", 30)
    return Played(tmp_path_factory.mktemp("launcher"), cluster)


def seed_of(run: RunDirectory) -> str:
    return next(line.partition(": ")[2] for line in run.config.read_text().splitlines() if line.startswith("seed: "))


def of_seed(launch: Launch, seed: int) -> RunDirectory:
    (run,) = [run for run in launch.runs if seed_of(run) == str(seed)]
    return run


def test_a_sweep_of_mixed_requests_is_submitted_in_arrays_that_the_cluster_takes(played: Played) -> None:
    limit = client.limits().array
    arrays = {(batch.options["mem"], batch.options["array"]) for batch in played.mixed.batches}
    if limit == 2:  # the cluster of these tests: three runs of one request are more than an array may have
        assert arrays == {("1G", "0-1%1"), ("1G", "0-0%1"), ("3G", "0-0"), ("1G", "0-0")}
    assert sum(len(batch.runs) for batch in played.mixed.batches) == 5
    assert len({run for batch in played.mixed.batches for run in batch.runs}) == 5


def test_a_failing_run_does_not_stop_the_others_and_the_launcher_tells(played: Played) -> None:
    code, output = played.outputs["mixed"]
    assert code == 1, output
    statuses = {seed_of(run): run.read_state().status for run in played.mixed.runs}
    assert statuses == {**dict.fromkeys("0123", RunStatus.DONE), "4": RunStatus.FAILED}
    assert "1 run did not finish" in output
    assert "nothing to learn from" in output
    assert "Results" in output  # Hydra's return value reached the closing table


def test_a_throttle_keeps_elements_of_an_array_apart(played: Played) -> None:
    (batch,) = [batch for batch in played.mixed.batches if len(batch.runs) == 2 and batch.options["array"] == "0-1%1"]
    one, other = (RunDirectory(played.mixed.root / run).read_state() for run in batch.runs)
    assert one.started is not None
    assert other.started is not None
    assert other.started >= one.heartbeat or one.started >= other.heartbeat


def test_hostile_values_are_data_all_the_way(played: Played) -> None:
    assert [path for path in played.mixed.root.parent.rglob("*") if path.name == "pwned"] == []
    assert not (ROOT / "pwned").exists()
    (script, *_) = sorted(BatchStore(played.mixed.root).folder.glob("*.sh"))
    assert "pwned" in script.read_text()  # it was there, as data
    assert all(state.job for state in played.mixed.states)


def test_the_key_of_wandb_is_in_no_file(played: Played) -> None:
    files = [path for path in played.mixed.root.parent.parent.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".wandb"]  # the jobs had it, and tracked
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def uninterrupted(played: Played, seed: int) -> RunDirectory:
    return of_seed(played.mixed, seed)


def assert_row(played: Played, launch: Launch, seed: int, fault: str, request: pytest.FixtureRequest) -> None:
    row = matrix.compare(fault, of_seed(launch, seed), uninterrupted(played, seed), launch.since)
    matrix.record(request, row)
    assert (row.equal, row.lost, row.doubled, row.interruptions) == (True, 0, 0, 0)


@pytest.mark.fault("launcher killed during submission")
@pytest.mark.parametrize("when", list(DEATHS))
def test_a_launcher_that_is_killed_around_sbatch_loses_nothing_and_submits_nothing_twice(
    played: Played, when: str, request: pytest.FixtureRequest
) -> None:
    assert played.killed_by[when] == -signal.SIGKILL
    code, output = played.outputs[f"again-{when}"]
    assert code == 0, output
    assert ("Submitted 1 job in 1 array" in output) == (when == "before"), output
    launch = played.dead[when]
    assert played.jobs_after_death[when] == len(launch.batches) == 1
    assert launch.batches[0].job_id is not None
    assert launch.jobs() == [launch.batches[0].job_id]
    assert_row(played, launch, 0, f"launcher killed {when} sbatch", request)


def test_a_launch_that_does_not_wait_returns_at_once_and_says_how_to_come_back(played: Played) -> None:
    _, output = played.outputs["again-before"]
    assert f"qae status --watch default --root {played.dead['before'].root}" in output
    assert "Results" not in output


@pytest.mark.fault("two launchers at once")
def test_two_launchers_at_once_start_each_run_once_and_both_follow(
    played: Played, request: pytest.FixtureRequest
) -> None:
    for name in ("twice-0", "twice-1"):
        code, output = played.outputs[name]
        assert code == 0, output
        assert "Results" in output
    launch = played.twice
    assert sorted(run for batch in launch.batches for run in batch.runs) == [run.run_id for run in launch.runs]
    assert launch.jobs() == sorted(str(batch.job_id) for batch in launch.batches)
    assert [state.attempt for state in launch.states] == [1, 1]
    assert_row(played, launch, 0, "two launchers at once", request)


def test_ctrl_c_leaves_the_jobs_alone_and_the_same_command_attaches(played: Played) -> None:
    code, output = played.outputs["left"]
    assert code == 130, output
    assert "The jobs go on without this process" in output
    assert "Stopped." not in output
    _, output = played.outputs["attached"]
    assert "1 to attach to" in output
    assert [state.attempt for state in played.restarted.states] == [1, 1]


@pytest.mark.fault("slurmctld restarted")
def test_a_controller_that_restarts_is_waited_for(played: Played, request: pytest.FixtureRequest) -> None:
    code, output = played.outputs["attached"]
    assert code == 0, output
    assert "Slurm does not answer" in output
    assert "Results" in output
    assert_row(played, played.restarted, 0, "slurmctld restarted while it trains", request)
    assert_row(played, played.restarted, 1, "slurmctld restarted while it is launched", request)


def test_a_bad_partition_is_one_sentence_and_nothing_is_left_behind(cluster: Cluster, tmp_path: Path) -> None:  # noqa: ARG001
    launch = Launch(tmp_path / "runs", ("seed=0,1", *PLAIN, "slurm.partition=nope"))
    code, output = ended(launch.start())
    assert code == 2
    (sentence,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "Invalid partition name specified" in sentence
    assert "slurm.partition may be one of high, low" in sentence
    assert "Traceback" not in output
    assert launch.batches == []
    assert {state.status for state in launch.states} == {RunStatus.PLANNED}


def test_runs_for_which_the_queue_has_no_room_are_submitted_once_it_has(played: Played) -> None:
    code, output = played.outputs["crowded"]
    assert code == 0, output
    assert [len(batch.runs) for batch in played.crowded.batches] == [1, 1]
    assert output.count("Submitted 1 job in 1 array") == 2
    assert [state.status for state in played.crowded.states] == [RunStatus.DONE, RunStatus.DONE]


def test_a_search_that_was_killed_goes_on_with_its_jobs(played: Played) -> None:
    assert played.outputs["killed search"][0] == -signal.SIGKILL
    code, output = played.outputs["search"]
    assert code == 0, output
    assert "Search 's'" in output
    trials = study.load(played.search.root, "s").trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert [state.status for state in played.search.states] == [RunStatus.DONE] * 2
    assert [state.attempt for state in played.search.states] == [1, 1]
    assert len(played.search.jobs()) == len(played.search.batches)


def test_a_run_that_its_guard_forks_goes_on_in_its_job_and_is_followed(played: Played) -> None:
    code, output = played.outputs["forked"]
    assert code == 0, output
    fork, parent = sorted(played.forked.runs, key=lambda run: run.read_state().status is RunStatus.STOPPED_BY_GUARD)
    assert parent.read_state().status is RunStatus.STOPPED_BY_GUARD
    assert (fork.read_state().status, fork.read_state().job) == (RunStatus.DONE, parent.read_state().job)
    assert f"run {fork.run_id} goes on from step 2 with K = 0.6" in str(parent.read_state().reason)
    assert f"{fork.run_id} K=0.6, fork of {parent.run_id}: done" in output
    assert len(played.forked.batches) == len(played.forked.jobs()) == 1
