"""`qae sync`, and tracking online: the real client against the double of the server."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis import sources
from analysis.commands import sources as source_commands
from analysis.sources.wandb.sync import Outcome, Synced, sync
from qae import metrics
from qae.run_directory import RunDirectory, RunState, RunStatus
from tests.analysis.wandb.recorder import PROJECT, record, row
from tests.analysis.wandb.runs import ENTITY, ServerRun
from tests.analysis.wandb.server import WandbServer

pytestmark = pytest.mark.slow
AXIS = metrics.GLOBAL_STEP.name
LAST = 80


@pytest.fixture
def root(continued_run: Path, tmp_path: Path) -> Path:
    """A store with a run that was killed at step 60 and continued from 41 to 80, and one that was only killed."""
    root = tmp_path / "runs"
    shutil.copytree(continued_run, root / "aaaa", symlinks=True)
    shutil.copytree(continued_run, root / "bbbb", symlinks=True)
    killed, continuation = sorted((root / "bbbb" / "wandb").glob("offline-run-*"))
    killed.rename(killed.with_name(killed.name.replace("aaaa", "bbbb")))
    shutil.rmtree(continuation)
    metrics_file = RunDirectory(root / "bbbb").metrics
    metrics_file.write_bytes(b"".join(metrics_file.read_bytes().splitlines(keepends=True)[:60]))
    return root


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with WandbServer() as double:
        monkeypatch.setenv("QAE_CACHE", str(tmp_path / "cache"))
        for name, value in double.environment.items():
            monkeypatch.setenv(name, value)
        yield double
        assert double.unknown == []


def on_server(server: WandbServer, run_id: str = "aaaa") -> ServerRun:
    return server.runs[ENTITY, PROJECT, run_id]


def synced(root: Path, run_id: str = "aaaa") -> Synced:
    (run,) = sync(root, [run_id], waits=(0.1, 0.1))
    return run


def assert_every_step_once(run: ServerRun, last: int = LAST) -> None:
    assert sorted(run.values(AXIS)) == list(range(1, last + 1))
    for line in run.history:
        expected = row(int(line[AXIS]), 60)
        assert line[metrics.ENTROPY.name] == pytest.approx(expected[metrics.ENTROPY.name])
        assert line["more/59"] == expected["more/59"]


def test_a_crashed_run_with_its_continuation_arrives_whole_and_a_second_sync_sends_nothing(
    root: Path, server: WandbServer
) -> None:
    run = synced(root)
    assert (run.outcome, run.sent, run.late) == (Outcome.SENT, LAST, 0)
    there = on_server(server)
    assert_every_step_once(there)
    assert (there.group, there.job_type, there.state) == ("swept", "tabular", "finished")
    assert {"tabular", "clip_higher"} <= set(there.tags)
    assert there.config["algorithm"]["value"]["quantile_k"] == 0.4
    before = server.count("file_stream")
    assert synced(root).outcome is Outcome.COMPLETE
    assert server.count("file_stream") == before
    assert_every_step_once(there)


def test_what_a_killed_writer_lost_comes_from_the_metrics_file(root: Path, server: WandbServer) -> None:
    run = synced(root, "bbbb")
    assert run.sent == 60
    assert 0 < run.repaired < 60
    assert_every_step_once(on_server(server, "bbbb"), 60)


def test_a_run_that_was_online_for_a_while_is_completed(root: Path, server: WandbServer) -> None:
    there = server.run(ENTITY, PROJECT, "aaaa")
    server.log(there, ({**row(step, 60), "_step": step} for step in range(1, 31)))
    there.summary = {"_step": 30}
    assert synced(root).sent == LAST - 30
    assert_every_step_once(there)


def test_a_hole_before_the_last_step_is_filled_at_the_end(root: Path, server: WandbServer) -> None:
    there = server.run(ENTITY, PROJECT, "aaaa")
    server.log(there, ({**row(step, 60), "_step": step} for step in (*range(1, 21), *range(41, 71))))
    there.summary = {"_step": 70}
    run = synced(root)
    assert (run.sent, run.late) == (30, 20)
    assert_every_step_once(there)
    assert synced(root).outcome is Outcome.COMPLETE
    arm = next(iter((runs := sources.load(f"{ENTITY}/{PROJECT}")).arms))
    assert runs.series(arm, AXIS).index.tolist() == list(range(1, LAST + 1))


def test_a_server_that_cannot_show_what_it_has_gets_nothing_twice(root: Path, server: WandbServer) -> None:
    there = server.run(ENTITY, PROJECT, "aaaa")
    server.log(there, ({**row(step, 60), "_step": step} for step in range(1, 31)))
    there.summary = {"_step": 50}
    run = synced(root)
    assert run.outcome is Outcome.FAILED
    assert "cannot be read yet" in run.reason
    assert len(there.history) == 30


def test_a_run_that_fails_does_not_keep_the_others_back(
    root: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.sources.wandb.sync.sync", partial(sync, waits=(0.1,)))
    there = server.run(ENTITY, PROJECT, "aaaa")
    server.log(there, [{**row(1, 60), "_step": 1}])
    there.summary = {"_step": 50}
    result = CliRunner().invoke(source_commands.sync, ["--root", str(root)])
    assert result.exit_code == 1
    assert "aaaa: failed: W&B has rows of" in result.output
    assert_every_step_once(on_server(server, "bbbb"), 60)


def test_faults_on_the_way_neither_lose_nor_double_a_step(root: Path, server: WandbServer) -> None:
    server.fail("file_stream", 500, 2)
    assert synced(root).sent == LAST
    assert_every_step_once(on_server(server))


def test_wandb_sync_passes_over_what_was_sent(root: Path, server: WandbServer) -> None:
    synced(root)
    files = sorted((root / "aaaa" / "wandb").glob("*/*.wandb"))
    assert all(path.with_name(f"{path.name}.synced").exists() for path in files)
    subprocess.run(
        [sys.executable, "-m", "wandb", "sync", str(root / "aaaa" / "wandb")],
        check=False,
        capture_output=True,
        timeout=600,
    )
    assert_every_step_once(on_server(server))


def test_running_untracked_and_newer_runs_are_left_alone(root: Path, server: WandbServer) -> None:
    import time

    RunDirectory(root / "aaaa").write_state(RunState(RunStatus.RUNNING, heartbeat=time.time()))
    RunDirectory(root / "cccc").path.mkdir()
    RunDirectory(root / "cccc").config.write_text("- no mapping\n")
    untracked = RunDirectory(root / "bbbb")
    shutil.rmtree(untracked.path / "wandb")
    untracked.config.write_text("backend: tiny\ntracking: {backend: none}\n")
    shutil.copytree(root / "bbbb", root / "dddd")
    RunDirectory(root / "dddd").layout.write_text('{"version": 99, "since": "9.0.0"}')
    result = CliRunner().invoke(source_commands.sync, ["--root", str(root)])
    assert result.exit_code == 0, result.output
    assert "aaaa: skipped: it is running" in result.output
    assert "dddd has layout 99" in result.output
    assert "bbbb: skipped: it was not tracked" in result.output
    assert "cccc: skipped: its config.yaml holds no mapping" in result.output
    assert server.runs == {}


def test_the_command_says_what_it_did_and_what_is_wrong(root: Path, server: WandbServer) -> None:
    result = CliRunner().invoke(source_commands.sync, ["aaaa", "--root", str(root)])
    assert f"aaaa: {LAST} steps sent ({ENTITY}/{PROJECT}/aaaa)" in result.output
    result = CliRunner().invoke(source_commands.sync, ["aaaa", "--root", str(root)])
    assert "aaaa: all there already" in result.output
    result = CliRunner().invoke(source_commands.sync, ["none", "--root", str(root)])
    assert (result.exit_code, "no sweep and no run 'none'" in result.output) == (2, True)
    assert server.count("UpsertBucket") > 0


def test_an_online_run_and_its_continuation_have_every_step_once(tmp_path: Path, server: WandbServer) -> None:
    record(tmp_path / "online" / "aaaa", 1, 30, mode="online", environment=server.environment)
    there = on_server(server)
    assert there.values(AXIS) == list(range(1, 31))
    assert (there.state, there.group) == ("finished", "swept")
    record(tmp_path / "online" / "aaaa", 21, 40, mode="online", environment=server.environment)
    assert there.values(AXIS) == list(range(1, 41))
    assert synced(tmp_path / "online").outcome is Outcome.COMPLETE
