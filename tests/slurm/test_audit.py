"""What `qae audit` says of a store's jobs: in the queue, gone from it, two of one run, not to be asked."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from qae.run_directory import RunDirectory, RunState, RunStatus
from slurm.audit import ask
from slurm.batches import Batch, BatchStore
from sweeps.audit.finding import Finding, Kind
from sweeps.audit.report import audit
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import ManifestRun, RunStore
from tests.slurm.conftest import Cluster
from tests.support.configs import QUICK, embedded_mapping

pytestmark = pytest.mark.slow

WAIT_SECONDS = 60


def queued(root: Path) -> RunDirectory:
    """A run that said queued an hour ago."""
    config = embedded_mapping(*QUICK, "tracking.backend=none")
    store = RunStore(root)
    run = store.create(run_id(config), config)
    store.record_sweep("s", [], [ManifestRun(run.run_id, ())])
    state(run, RunStatus.QUEUED, None)
    return run


def state(run: RunDirectory, status: RunStatus, job: str | None) -> None:
    run.write_state(RunState(status, total_steps=6, job=job, pid=1, host="n1"))
    os.utime(run.state, (time.time() - 3600,) * 2)


def submit(root: Path, batch_id: str, run: RunDirectory) -> str:
    """A job of the run that waits until somebody releases it; its id."""
    batches = BatchStore(root)
    batch = Batch(batch_id, "s", (run.run_id,), "", time.time())
    batches.write(batch)
    options = (f"--job-name={batch.job_name}", "--array=0", "--hold", "--parsable", "--output=/dev/null")
    ended = subprocess.run(
        ["sbatch", *options], input="#!/bin/sh\n", check=True, capture_output=True, text=True, timeout=WAIT_SECONDS
    )
    batches.write(Batch(batch_id, "s", (run.run_id,), "", batch.created, ended.stdout.strip()))
    return ended.stdout.strip() + "_0"


def findings(root: Path) -> list[Finding]:
    cluster = ask(root)
    assert cluster.doubt == ""
    return [*cluster.findings, *audit(root, cluster.queues).findings]


@pytest.mark.usefixtures("cluster")
def test_a_run_waits_for_its_job_until_that_is_gone(tmp_path: Path) -> None:
    run = queued(tmp_path)
    first, second = (submit(tmp_path, name, run) for name in ("b1", "b2"))
    (twice,) = findings(tmp_path)
    assert (twice.kind, twice.run, twice.is_error) == (Kind.QUEUED_TWICE, run.run_id, False)
    assert first in twice.sentence
    assert second in twice.sentence
    subprocess.run(["scancel", second], check=True, timeout=WAIT_SECONDS)
    for status in (RunStatus.QUEUED, RunStatus.RUNNING):  # a job that was requeued from a lost node waits again
        state(run, status, first)
        assert findings(tmp_path) == []
    subprocess.run(["scancel", first], check=True, timeout=WAIT_SECONDS)
    for status, kind in ((RunStatus.QUEUED, Kind.NOT_QUEUED), (RunStatus.RUNNING, Kind.LEFT_RUNNING)):
        state(run, status, first)
        (gone,) = findings(tmp_path)
        assert (gone.kind, gone.run) == (kind, run.run_id)
        assert f"qae resume {run.run_id}" in gone.sentence


@pytest.mark.usefixtures("cluster")
def test_a_run_whose_launcher_died_before_it_asked_for_a_job_waits_for_nothing(tmp_path: Path) -> None:
    run = queued(tmp_path)
    assert [(each.kind, each.run) for each in findings(tmp_path)] == [(Kind.NOT_QUEUED, run.run_id)]


@pytest.mark.usefixtures("cluster")
def test_a_run_that_is_just_being_submitted_is_not_missed(tmp_path: Path) -> None:
    run = queued(tmp_path)
    subprocess.run(["scancel", submit(tmp_path, "b3", run)], check=True, timeout=WAIT_SECONDS)
    run.write_state(RunState(RunStatus.QUEUED, total_steps=6))
    assert findings(tmp_path) == []


def test_a_damaged_batch_is_an_error_and_a_silent_cluster_a_doubt(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster.script.exists()
    run = queued(tmp_path)
    submit(tmp_path, "b4", run)
    (tmp_path / "sweeps" / "batches" / "b5.json").write_text("{")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = ask(tmp_path)
    assert [(each.kind, each.is_error) for each in found.findings] == [(Kind.MANIFEST, True)]
    assert "squeue" in found.doubt
    assert audit(tmp_path, found.queues).findings == ()
    monkeypatch.undo()
