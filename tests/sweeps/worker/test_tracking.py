"""The real wandb client, offline: what it has recorded is read back with its own inspector."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qae import metrics
from qae.run_directory import RunDirectory, read_metrics
from sweeps.run_store.store import RunStore
from sweeps.worker import tracking
from tests import ROOT
from tests.support.configs import QUICK

pytestmark = [pytest.mark.slow, pytest.mark.long]


def sweep(runs: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "sweep.py"), *QUICK, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=runs.parent,
        env={**os.environ, "QAE_RUNS": str(runs), **environment},
    )


def records(run: RunDirectory, segment: Path | None = None) -> list[dict[str, object]]:
    """Every record of a run's offline segments, or of one of them, in order of time."""
    found: list[dict[str, object]] = []
    for path in sorted((run.path / "wandb").glob(f"{segment.name if segment else 'offline-run-*'}/*.wandb")):
        shown = subprocess.run(
            [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stdout[-2000:] + shown.stderr[-2000:]
        found += [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    return found


def history(run: RunDirectory, segment: Path | None = None) -> list[dict[str, float]]:
    printed = "".join(path.read_text() for path in sorted(run.logs.glob("*")))
    assert "W&B" not in printed, printed  # what tracking could not do is a warning, never an error
    rows = []
    for record in records(run, segment):
        if record.get("type") == "history":
            row = record["history"]
            assert isinstance(row, dict)
            values = row["item"]
            rows.append({key: value for key, value in values.items() if isinstance(value, int | float)})
    return rows


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def only_run(runs: Path) -> RunDirectory:
    (run,) = RunStore(runs).runs()
    return run


def test_an_offline_run_has_every_step_once_under_the_run_id(runs: Path) -> None:
    # The address of a W&B process of who started the sweep, here of one that is gone: a run has its own.
    process = sweep(runs, "sweep.name=mine", WANDB_SERVICE="3-1-tcp-localhost-9")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    run = only_run(runs)
    (segment,) = (run.path / "wandb").glob("offline-run-*")
    assert segment.name.endswith(run.run_id)
    rows, lines = history(run), read_metrics(run).records
    assert [row[metrics.GLOBAL_STEP.name] for row in rows] == [line["step"] for line in lines] == list(range(7))
    for row, line in zip(rows, lines, strict=True):
        for name in (metrics.ENTROPY.name, metrics.pass_at(1).name, metrics.ZERO_FRACTION.name):
            assert row.get(name) == pytest.approx(line.get(name))
    (description,) = [record["run"] for record in records(run) if record["type"] == "run"]
    assert isinstance(description, dict)
    assert description["run_id"] == run.run_id
    assert description["run_group"] == "mine"
    assert description["job_type"] == "tabular"
    assert {"tabular", "clip_higher", "quantile"} <= set(description["tags"])


def test_a_stopped_run_is_resumed_under_the_same_id_without_doubled_steps(runs: Path) -> None:
    long = ("trainer.total_training_steps=120", "trainer.save_freq=10", "trainer.test_freq=40")
    process = sweep(runs, *long)
    while process.poll() is None:
        found = RunStore(runs).runs()
        if found and found[0].read_state().step >= 15:
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.02)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    process = sweep(runs, *long)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    run = only_run(runs)
    segments = list((run.path / "wandb").glob("offline-run-*"))
    assert len(segments) == 2
    assert all(segment.name.endswith(run.run_id) for segment in segments)
    assert [row[metrics.GLOBAL_STEP.name] for row in history(run)] == list(range(121))


def test_a_killed_run_is_resumed_after_its_checkpoint(runs: Path) -> None:
    long = ("trainer.total_training_steps=120", "trainer.save_freq=10", "trainer.test_freq=40")
    process = sweep(runs, *long)
    while process.poll() is None:
        found = RunStore(runs).runs()
        if found and (state := found[0].read_state()).step >= 15 and state.pid is not None:
            os.kill(state.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 1, output
    assert "killed by SIGKILL" in output
    run = only_run(runs)
    checkpoint = max(int(path.stem.removeprefix("step-")) for path in run.checkpoints.glob("step-*.pt"))
    process = sweep(runs, *long)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    _, continued = sorted((run.path / "wandb").glob("offline-run-*"))
    assert continued.name.endswith(run.run_id)
    assert [row[metrics.GLOBAL_STEP.name] for row in history(run, continued)] == list(range(checkpoint + 1, 121))


def test_no_tracking_leaves_no_trace(runs: Path) -> None:
    process = sweep(runs, "tracking=none")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert not (only_run(runs).path / "wandb").exists()


def test_an_unreachable_server_does_not_stop_the_run_and_leaves_an_offline_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens on the discard port
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "5")
    config = {"backend": "tiny", "labels": {}, "tracking": {"backend": "wandb", "mode": "online", "project": "p"}}
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    with caplog.at_level(logging.WARNING):
        tracker = tracking.start(config, run, "s")
        tracker.log(1, {metrics.ENTROPY.name: 1.0})
        tracker.finish(failed=False)
    assert "recording offline" in caplog.text
    assert [row[metrics.ENTROPY.name] for row in history(run)] == [1.0]


def test_a_client_that_cannot_write_does_not_stop_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = {"backend": "tiny", "labels": {}, "tracking": {"backend": "wandb", "mode": "offline", "project": "a/b"}}
    with caplog.at_level(logging.WARNING):
        tracker = tracking.start(config, RunDirectory(tmp_path), "s")
        tracker.log(1, {metrics.ENTROPY.name: 1.0})
        tracker.finish(failed=False)
    assert isinstance(tracker, tracking.NoTracker)
    assert "the run goes on without it" in caplog.text


def test_the_key_decides_between_online_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert tracking.wandb_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert tracking.wandb_mode("auto") == "online"
    assert tracking.wandb_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert tracking.wandb_mode("auto") == "offline"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / ".netrc").write_text("machine wandb.example.org login user password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert tracking.wandb_mode("auto") == "online"
