"""The job body alone, as any launcher starts it: a run directory in."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qae.run_directory import RunDirectory, RunState, RunStatus, read_metrics
from sweeps.run_store.identity import run_id
from sweeps.run_store.locking import AlreadyRunningError, exclusive, is_locked
from sweeps.run_store.store import RunStore, StoreError
from sweeps.worker.job import Exit
from tests import ROOT
from tests.support.configs import QUICK, embedded_mapping

pytestmark = [pytest.mark.slow, pytest.mark.long]

WORKER = """
import sys
from sweeps.worker.job import run_in_worker
try:
    run_in_worker(sys.argv[1], "s", int(sys.argv[2]))
finally:
    print("imported:", "torch" in sys.modules, "wandb" in sys.modules, flush=True)
"""
RAY_FAILS = """
import sys
from contextlib import contextmanager
from sweeps import trainers
from sweeps.worker.job import run_in_worker
from sweeps.worker.place import Place
starts = []
@contextmanager
def machines(*_):
    starts.append(1)
    if len(starts) <= int(sys.argv[2]):
        raise RuntimeError("The current node timed out during startup. This could happen because")
    yield trainers.nothing_is_lost
run_in_worker(sys.argv[1], "s", 0, Place(machines=machines))
"""
HOLDER = """
import sys, time
from pathlib import Path
from qae.run_directory import RunDirectory
from sweeps.run_store.locking import exclusive
with exclusive(RunDirectory(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def planned(tmp_path: Path, *overrides: str) -> RunDirectory:
    config = embedded_mapping(*QUICK, "tracking.backend=none", *overrides)
    return RunStore(tmp_path / "runs").create(run_id(config), config)


def work(directory: RunDirectory, attempts: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WORKER, str(directory.path), str(attempts)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[RunDirectory, subprocess.Popen[str]]]:
    """A run directory whose lock another process holds."""
    directory = RunDirectory(tmp_path / "held")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield directory, process
    process.kill()
    process.wait()


def test_a_directory_is_all_that_a_job_needs(tmp_path: Path) -> None:
    directory = planned(tmp_path, "resources.threads=2")
    assert directory.read_state() == RunState(RunStatus.PLANNED, total_steps=6)
    result = work(directory)
    assert (result.returncode, result.stdout, result.stderr) == (Exit.ENDED, "", "")
    state = directory.read_state()
    assert (state.status, state.step, state.attempt, state.reason) == (RunStatus.DONE, 6, 1, None)
    assert set(state.latest) == {
        "actor/entropy",
        "val/overall/pass@1",
        "qae/advantage_zero_fraction",
        "response_length/mean",
    }
    (attempt,) = json.loads(directory.provenance.read_text())["attempts"]
    assert attempt["threads"] == 2
    assert {"torch", "verl", "wandb"} <= set(attempt["versions"])
    # Output goes to the log, and with tracking=none wandb is never imported.
    assert (directory.logs / "attempt-1.log").read_text().endswith("imported: True False\n")
    assert not is_locked(directory)
    before = directory.state.read_bytes()
    assert work(directory).returncode == Exit.ENDED
    assert directory.state.read_bytes() == before  # what is done is left alone, whoever asks


def test_a_run_that_is_asked_to_end_does_so_with_a_checkpoint_and_the_next_launch_continues_it(tmp_path: Path) -> None:
    directory = planned(tmp_path, "trainer.total_training_steps=2000", "trainer.save_freq=-1", "trainer.test_freq=-1")
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(directory.path), "0"], cwd=ROOT)
    deadline = time.monotonic() + 100
    while directory.read_state().step < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    directory.request_end("search s, trial 1: pruned after step 2")
    assert process.wait(60) == Exit.ENDED
    state = directory.read_state()
    assert (state.status, state.reason) == (RunStatus.CANCELLED, "search s, trial 1: pruned after step 2")
    assert 2 <= state.step < 2000
    assert [path.name for path in directory.checkpoints.iterdir()] == [f"step-{state.step:06d}.pt"]
    assert work(directory, state.attempt).returncode == Exit.ENDED  # a job that comes late
    assert directory.read_state().attempt == 1
    config = embedded_mapping(*QUICK, "tracking.backend=none", "trainer.total_training_steps=2000")
    RunStore(tmp_path / "runs").create(directory.run_id, config)
    assert directory.requested_end() is None


def test_a_run_that_failed_since_it_was_planned_is_left_alone_and_a_retry_is_not(tmp_path: Path) -> None:
    directory = planned(tmp_path, "data.reward_noise.random=1.0")
    assert work(directory).returncode == Exit.FAILED
    state = directory.read_state()
    assert (state.status, state.attempt) == (RunStatus.FAILED, 1)
    assert state.reason is not None
    assert "nothing to learn from" in state.reason
    assert "Traceback" in (directory.logs / "attempt-1.log").read_text()
    assert work(directory, attempts=0).returncode == Exit.FAILED
    assert directory.read_state().attempt == 1
    assert work(directory, attempts=1).returncode == Exit.FAILED
    assert directory.read_state().attempt == 2
    assert (directory.logs / "attempt-2.log").exists()


@pytest.mark.parametrize(
    ("times", "code", "status", "attempts"),
    [(2, Exit.ENDED, RunStatus.DONE, 3), (3, Exit.FAILED, RunStatus.FAILED, 3)],
)
def test_ray_that_does_not_start_in_time_is_started_again_twice(
    tmp_path: Path, times: int, code: Exit, status: RunStatus, attempts: int
) -> None:
    directory = planned(tmp_path)
    command = [sys.executable, "-c", RAY_FAILS, str(directory.path), str(times)]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=600).returncode == code
    state = directory.read_state()
    assert (state.status, state.attempt, state.reasons) == (status, attempts, {"Ray did not start": times})
    assert [path.name for path in sorted(directory.logs.glob("*.log"))] == [f"attempt-{n}.log" for n in (1, 2, 3)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_asked_to_stop_leaves_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    directory = planned(tmp_path, "trainer.total_training_steps=500", "trainer.save_freq=400", "trainer.test_freq=400")
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(directory.path), "0"], cwd=ROOT)
    while directory.read_state().step < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=600) == Exit.ENDED
    state = directory.read_state()
    assert (state.status, state.reason) == (RunStatus.CANCELLED, f"stopped by {number.name} after step {state.step}")
    assert [path.name for path in directory.checkpoints.glob("*.pt")] == [f"step-{state.step:06d}.pt"]
    assert read_metrics(directory).records[-1]["step"] == state.step


def test_one_process_at_a_time_and_a_dead_one_holds_nothing(
    holder: tuple[RunDirectory, subprocess.Popen[str]],
) -> None:
    directory, process = holder
    assert is_locked(directory)
    with pytest.raises(AlreadyRunningError, match="another process"), exclusive(directory, patience=0.1):
        pass
    result = work(directory)
    assert result.returncode == Exit.RUNS_ELSEWHERE
    process.kill()
    process.wait()
    assert not is_locked(directory)
    with exclusive(directory, patience=0):
        assert is_locked(directory)


def test_whoever_looks_does_not_keep_others_out(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with exclusive(directory):
        pass
    looking = "import sys; from pathlib import Path; from qae.run_directory import RunDirectory\n"
    looking += "from sweeps.run_store.locking import is_locked\nwhile True: is_locked(RunDirectory(Path(sys.argv[1])))"
    process = subprocess.Popen([sys.executable, "-c", looking, str(tmp_path)], cwd=ROOT)
    try:
        time.sleep(0.5)
        for _ in range(50):
            with exclusive(directory):
                pass
    finally:
        process.kill()
        process.wait()


def test_a_run_that_says_running_and_has_no_process_was_interrupted(
    holder: tuple[RunDirectory, subprocess.Popen[str]], tmp_path: Path
) -> None:
    directory, process = holder
    store = RunStore(tmp_path)
    directory.write_state(RunState(RunStatus.RUNNING, step=3))
    assert store.state(directory).status is RunStatus.RUNNING
    process.kill()
    process.wait()
    assert store.state(directory).status is RunStatus.PREEMPTED
    assert directory.read_state().status is RunStatus.RUNNING  # looking writes nothing


def test_launching_again_renews_what_is_not_computed_unless_it_runs(
    holder: tuple[RunDirectory, subprocess.Popen[str]],
) -> None:
    directory, process = holder
    store = RunStore(directory.path.parent)
    directory.config.write_text("seed: 0\n")
    config = embedded_mapping("tracking.backend=none")
    store.create(directory.run_id, config)
    assert directory.config.read_text() == "seed: 0\n"
    process.kill()
    process.wait()
    store.create(directory.run_id, config)
    assert "backend: none" in directory.config.read_text()
    assert "dry_run" not in directory.config.read_text()  # how it was launched is no part of it


def test_damage_in_the_store_is_a_sentence(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    directory = store.directory("0123456789ab")
    directory.path.mkdir()
    directory.state.write_text("{")
    with pytest.raises(StoreError, match="move it away"):
        store.state(directory)
    (tmp_path / "sweeps").mkdir()
    for content in ("{", "{}", "[]", '{"name": "s", "command": [], "created": 0, "axes": {}, "runs": [{}]}'):
        (tmp_path / "sweeps" / "s.json").write_text(content)
        with pytest.raises(StoreError, match=r"s\.json is not a sweep's manifest"):
            store.manifest("s")
