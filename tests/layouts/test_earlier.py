"""Stores that earlier toolkits wrote are read by every command of today, and their interrupted runs go on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from qae.files import layout
from qae.guard import decisions
from qae.run_directory import RunDirectory, RunStatus, read_evaluations, read_metrics
from sweeps.cli import main
from sweeps.run_store.identity import run_id
from sweeps.run_store.selection import select
from sweeps.run_store.store import RunStore
from sweeps.worker.attempt import run_job
from tests import ROOT
from tests.layouts.packed import NAMES, unpack

pytestmark = pytest.mark.slow

EMBEDDED = tuple(name for name in NAMES if name != "first_verl")
GUARDED = ("guard", "tracking")


def qae(root: Path, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [command, *arguments], env={"QAE_RUNS": str(root), "COLUMNS": "200"})


def interrupted(root: Path) -> list[RunDirectory]:
    runs = RunStore(root).runs()
    return [run for run in runs if run.read_state().status is RunStatus.CANCELLED]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_its_runs_keep_their_ids_numbers_and_states(name: str, tmp_path: Path) -> None:
    store = RunStore(unpack(name, tmp_path))
    runs = select(store)
    assert runs
    for run in runs:
        assert layout.read(run.directory.path) == 1
        assert run_id(run.config) == run.run_id
        assert run.state.step == read_metrics(run.directory).records[-1]["step"]
        assert run.state.status in (RunStatus.DONE, RunStatus.CANCELLED, RunStatus.STOPPED_BY_GUARD)
        assert read_evaluations(run.directory).records
        assert run.sweep in store.sweeps()


@pytest.mark.parametrize("name", NAMES)
def test_every_reading_command_takes_it(name: str, tmp_path: Path) -> None:
    root = unpack(name, tmp_path / "runs")
    before = content(root)
    ids = {run.run_id for run in RunStore(root).runs()}
    listed = qae(root, "status", "--json").stdout.splitlines()
    assert {json.loads(line)["id"] for line in listed} == ids
    audited = qae(root, "audit")
    assert (audited.exit_code, audited.stdout) == (0, ""), audited.output
    rows = json.loads(qae(root, "table", str(root), "--json").stdout)
    assert sum(row["seeds"] for row in rows) >= 1
    exported = qae(root, "export", str(root), "--out", str(tmp_path / "all.parquet"))
    assert exported.exit_code == 0, exported.output
    assert set(pd.read_parquet(tmp_path / "all.parquet")["run"].astype(str)) == ids
    drawn = qae(root, "figures", str(root), "entropy_and_pass", "--format", "png", "--out", str(tmp_path / "figures"))
    assert drawn.exit_code == 0, drawn.output
    assert list((tmp_path / "figures").rglob("*.png"))
    assert content(root) == before


@pytest.mark.parametrize("name", EMBEDDED)
def test_its_interrupted_runs_go_on_from_their_checkpoints(name: str, tmp_path: Path) -> None:
    for directory in interrupted(unpack(name, tmp_path)):
        before = directory.metrics.read_bytes()
        state = directory.read_state()
        assert run_job(directory, "half", []) is RunStatus.DONE
        ended = directory.read_state()
        assert (ended.step, ended.attempt) == (ended.total_steps, state.attempt + 1)
        assert directory.metrics.read_bytes().startswith(before)
        first, *_ = directory.metrics.read_bytes().removeprefix(before).splitlines()
        assert json.loads(first)["step"] == state.step + 1
        assert [line["step"] for line in read_metrics(directory).records] == list(range(ended.total_steps + 1))


def test_a_command_that_continues_a_run_gives_its_directory_the_layout_of_today(tmp_path: Path) -> None:
    root = unpack("first", tmp_path / "runs")
    (going_on,) = interrupted(root)
    done = [run for run in RunStore(root).runs() if run != going_on]
    command = [sys.executable, "-m", "sweeps.cli", "resume", going_on.run_id]
    environment = {**os.environ, "QAE_RUNS": str(root), "WANDB_MODE": "offline"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert going_on.read_state().status is RunStatus.DONE
    assert layout.read(going_on.path) == layout.CURRENT
    assert {layout.read(run.path) for run in done} == {1}


@pytest.mark.parametrize("name", GUARDED)
def test_decisions_of_its_guard_are_read(name: str, tmp_path: Path) -> None:
    root = unpack(name, tmp_path)
    (stopped,) = [run for run in RunStore(root).runs() if run.read_state().status is RunStatus.STOPPED_BY_GUARD]
    assert list(decisions.read(stopped)) == ["dead_learning"]


@pytest.mark.parametrize("name", GUARDED)
def test_a_guard_whose_rules_are_gone_is_refused_with_the_directory_its_layout_and_the_fix(
    name: str, tmp_path: Path
) -> None:
    root = unpack(name, tmp_path)
    (stopped,) = [run for run in RunStore(root).runs() if run.read_state().status is RunStatus.STOPPED_BY_GUARD]
    before = content(root)
    refused = qae(root, "retry", stopped.run_id)
    assert refused.exit_code == 2
    for words in (str(stopped.path), "layout 1", "guard.collapse", "toolkit 0.1.0", "launch"):
        assert words in refused.output
    assert content(root) == before


@pytest.mark.parametrize("name", NAMES)
def test_samples_name_no_place_of_a_machine(name: str, tmp_path: Path) -> None:
    texts = [raw.decode() for path, raw in content(unpack(name, tmp_path)).items() if not path.endswith(".pt")]
    places = {place for text in texts for place in re.findall(r"(?<![\w./}])/\w[\w.-]*/[\w./-]*", text)}
    assert {place for place in places if not place.startswith("/home/user/")} == set()
