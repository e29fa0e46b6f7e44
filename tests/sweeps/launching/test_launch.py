"""Real sweeps of the embedded trainer: side by side, failing, killed, stopped, launched twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qae import metrics
from qae.run_directory import RunDirectory, RunState, RunStatus, read_evaluations, read_metrics
from sweeps.run_store.store import RunStore
from tests import ROOT
from tests.support.configs import QUICK

PLAIN = ("tracking=none", *QUICK)
STEPS = 120
LONG = (*PLAIN, f"trainer.total_training_steps={STEPS}", "trainer.test_freq=60", "trainer.save_freq=10")
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def runs(tmp_path: Path, new_store: Callable[[Path], Path]) -> Path:
    return new_store(tmp_path)


def start(runs: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "sweep.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=runs.parent,
        env={**os.environ, "QAE_RUNS": str(runs), "COLUMNS": "160"},
        start_new_session=True,
    )


def sweep(runs: Path, *arguments: str) -> tuple[int, str]:
    process = start(runs, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def states(runs: Path) -> dict[str, RunState]:
    return {directory.run_id: directory.read_state() for directory in RunStore(runs).runs()}


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 600) -> None:
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def numbers(directory: RunDirectory) -> object:
    clock = ("time", "timing_s/", "perf/")
    lines = [{k: v for k, v in line.items() if not k.startswith(clock)} for line in read_metrics(directory).records]
    return lines, read_evaluations(directory).records


def test_a_sweep_runs_reports_and_is_done_the_second_time(runs: Path) -> None:
    arguments = ("-m", *PLAIN, "algorithm.quantile_k=-1,0.4", "seed=0,1")
    code, output = sweep(runs, *arguments)
    assert code == 0, output
    assert {state.status for state in states(runs).values()} == {RunStatus.DONE}
    assert len(states(runs)) == 4
    for text in ("Plan of sweep 'quantile_k-seed': 4 runs", "Results", "K = 0.4", "figure: "):
        assert text in output
    for name in ("entropy_and_pass", "advantage_shares", "entropy_by_sign"):
        assert (runs / "figures" / "quantile_k-seed" / f"{name}.png").stat().st_size > 10_000
    manifest = RunStore(runs).manifest("quantile_k-seed")
    assert {run.id for run in manifest.runs} == set(states(runs))
    before = {path: path.read_bytes() for path in runs.glob("*/metrics.jsonl")}
    code, output = sweep(runs, *arguments)
    assert code == 0
    assert "All runs are done already." in output
    assert {path: path.read_bytes() for path in runs.glob("*/metrics.jsonl")} == before
    run = RunStore(runs).directory(manifest.runs[0].id)
    attempts = json.loads(run.provenance.read_text())["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1]
    assert attempts[0]["versions"]["torch"]


def test_a_single_run_is_the_same_run_as_in_a_sweep(runs: Path) -> None:
    assert sweep(runs, *PLAIN, "algorithm.quantile_k=0.4")[0] == 0
    code, output = sweep(runs, "-m", *PLAIN, "algorithm.quantile_k=0.4")
    assert code == 0
    assert "All runs are done already." in output
    assert len(states(runs)) == 1


def test_a_failing_run_does_not_stop_the_others_and_is_retried_on_request_only(runs: Path) -> None:
    # Rewards that are always right leave no group with mixed rewards: the trainer stops with a reason.
    arguments = ("-m", *PLAIN, "data.reward_noise.random=0,1", "sweep.parts=[]")
    code, output = sweep(runs, *arguments)
    assert code == 1
    failed = [state for state in states(runs).values() if state.status is RunStatus.FAILED]
    assert len(failed) == 1
    assert failed[0].reason is not None
    assert "nothing to learn from" in failed[0].reason
    assert sum(state.status is RunStatus.DONE for state in states(runs).values()) == 1
    assert "1 run did not finish" in output
    assert "attempt-1.log" in output
    (log,) = [path for path in runs.glob("*/logs/attempt-1.log") if "Traceback" in path.read_text()]
    assert "RuntimeError" in log.read_text()
    code, output = sweep(runs, *arguments)
    assert code == 1
    assert max(state.attempt for state in states(runs).values()) == 1
    code, output = sweep(runs, *arguments, "sweep.retry=true")
    assert code == 1
    assert max(state.attempt for state in states(runs).values()) == 2


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], Path]) -> dict[str, object]:
    path = new_store(tmp_path_factory.mktemp("whole"))
    code, output = sweep(path, "-m", *LONG, "seed=0,1", "sweep.parts=[]")
    assert code == 0, output
    return {directory.run_id: numbers(directory) for directory in RunStore(path).runs()}


def under_way(runs: Path, step: int) -> Callable[[], bool]:
    return lambda: sum(s.status is RunStatus.RUNNING and s.step >= step for s in states(runs).values()) >= 1


ARGUMENTS = ("-m", *LONG, "seed=0,1", "sweep.parts=[]")


def finish(runs: Path, uninterrupted: dict[str, object]) -> None:
    code, output = sweep(runs, *ARGUMENTS)
    assert code == 0, output
    assert {d.run_id: numbers(d) for d in RunStore(runs).runs()} == uninterrupted


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(runs: Path, uninterrupted: dict[str, object]) -> None:
    process = start(runs, *ARGUMENTS)
    wait_for(under_way(runs, 15), "a run to be under way")
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: everybody in the foreground gets it
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert "The same command goes on from here." in output
    assert "Traceback" not in output
    stopped = [state for state in states(runs).values() if state.attempt]
    assert {state.status for state in stopped} <= {RunStatus.CANCELLED, RunStatus.DONE}
    assert any(state.reason and "SIG" in state.reason for state in stopped)
    finish(runs, uninterrupted)


def fork_server(launcher: subprocess.Popen[str]) -> list[int]:
    """The launcher's process that starts workers, once there is one."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [child for child, command in commands.items() if b"multiprocessing.forkserver" in command]


def test_a_signal_to_the_whole_group_while_the_first_worker_starts_is_a_clean_stop(runs: Path) -> None:
    process = start(runs, *PLAIN, "seed=0")
    wait_for(lambda: bool(fork_server(process)), "the fork server")
    os.killpg(process.pid, signal.SIGTERM)  # as `timeout` does
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert "The same command goes on from here." in output
    assert "Traceback" not in output
    assert sweep(runs, *PLAIN, "seed=0")[0] == 0


def test_a_fork_server_that_is_killed_before_the_first_worker_is_started_anew(runs: Path) -> None:
    process = start(runs, *PLAIN, "seed=0")
    wait_for(lambda: bool(fork_server(process)), "the fork server")
    os.kill(fork_server(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert {state.status for state in states(runs).values()} == {RunStatus.DONE}


def test_a_worker_killed_by_sigkill_is_named_and_continued(runs: Path, uninterrupted: dict[str, object]) -> None:
    process = start(runs, *ARGUMENTS)
    wait_for(under_way(runs, 15), "a run to be under way")
    victim = next(s for s in states(runs).values() if s.status is RunStatus.RUNNING and s.step >= 15)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "killed by SIGKILL" in output
    assert sum(state.status is RunStatus.DONE for state in states(runs).values()) == 1
    finish(runs, uninterrupted)


def test_a_launcher_killed_by_sigkill_loses_nothing(runs: Path, uninterrupted: dict[str, object]) -> None:
    process = start(runs, *ARGUMENTS)
    wait_for(under_way(runs, 12), "a run to be under way")
    os.killpg(process.pid, signal.SIGKILL)  # launcher and fork server
    for state in states(runs).values():
        if state.status is RunStatus.RUNNING and state.pid is not None:
            os.kill(state.pid, signal.SIGKILL)
    process.communicate(timeout=600)
    assert any(state.status is RunStatus.RUNNING for state in states(runs).values())
    from click.testing import CliRunner

    from sweeps.cli import main

    def shown() -> set[str]:
        lines = CliRunner().invoke(main, ["status", "--root", str(runs), "--json"]).output.splitlines()
        return {json.loads(line)["status"] for line in lines}

    # The killed worker is no child of ours: its lock goes when the kernel has taken it down, a moment later.
    wait_for(lambda: "interrupted" in shown(), "the killed run to be shown as interrupted")
    finish(runs, uninterrupted)


def test_workers_outlive_a_killed_launcher_and_are_followed(runs: Path, uninterrupted: dict[str, object]) -> None:
    process = start(runs, *ARGUMENTS)
    wait_for(under_way(runs, 5), "a run to be under way")
    process.kill()  # the launcher alone
    process.communicate(timeout=600)
    finish(runs, uninterrupted)
    assert {state.attempt for state in states(runs).values()} <= {1, 2}


def test_two_launches_of_the_same_sweep_at_once_start_each_run_once(
    runs: Path, uninterrupted: dict[str, object]
) -> None:
    both = [start(runs, *ARGUMENTS) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert {state.attempt for state in states(runs).values()} == {1}
    for directory in RunStore(runs).runs():
        steps = [json.loads(line)["step"] for line in directory.metrics.read_text().splitlines()]
        assert steps == list(range(STEPS + 1))
    assert {d.run_id: numbers(d) for d in RunStore(runs).runs()} == uninterrupted


def test_how_many_run_side_by_side_changes_no_number(runs: Path, uninterrupted: dict[str, object]) -> None:
    code, output = sweep(runs, *ARGUMENTS, "resources.parallel=1")
    assert code == 0, output
    assert {d.run_id: numbers(d) for d in RunStore(runs).runs()} == uninterrupted


def test_a_regularizer_of_verls_trains(runs: Path) -> None:
    code, output = sweep(runs, "-m", *PLAIN, "regularizer=clip_cov,kl_cov,gspo", "trainer.total_training_steps=2")
    assert code == 0, output
    assert len(states(runs)) == 3
    for directory in RunStore(runs).runs():
        last = read_metrics(directory).records[-1]
        assert last["step"] == 2
        assert isinstance(last[metrics.GRAD_NORM.name], float)
