"""`wandb.Api` against the double of the server: parallel, kept locally, and patient."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from analysis import sources
from analysis.commands import sources as source_commands
from analysis.runs.frames import Runs
from analysis.sources.wandb import api as wandb_api
from analysis.sources.wandb.api import WandbError
from qae import metrics
from qae.run_directory import RunStatus
from tests.analysis.wandb.runs import ENTITY
from tests.analysis.wandb.server import WandbServer

PROJECT = f"{ENTITY}/big"
STEPS = 20
QUICK = (0.05, 0.05)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    """One server for all: the client keeps its connection for the process."""
    with WandbServer(page=7) as double:
        yield double
        assert double.unknown == []


@pytest.fixture
def project(server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WandbServer:
    """Twenty runs, K = 0.4 and the mean in turn; a page of the listing holds seven."""
    monkeypatch.setenv("QAE_CACHE", str(tmp_path / "cache"))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.runs.clear()
    server.requests.clear()
    for index in range(20):
        config = {"algorithm": {"quantile_k": 0.4 if index % 2 else -1}, "seed": index // 2}
        history = [
            {metrics.GLOBAL_STEP.name: step, metrics.ENTROPY.name: index + step / 8, "sparse": step}
            for step in range(STEPS)
        ]
        for row in history[1:]:
            del row["sparse"]
        server.add_run("big", f"r{index:02}", config, history)
    return server


def entropy(runs: Runs, run_id: str) -> list[float]:
    rows = runs.metrics[(runs.metrics["run"] == run_id) & (runs.metrics["name"] == metrics.ENTROPY.name)]
    return [float(value) for value in rows.sort_values("step")["value"]]


def test_a_project_is_read_whole_and_again_from_the_local_copy(project: WandbServer) -> None:
    runs = sources.load(PROJECT)
    assert [str(arm) for arm in runs.arms] == ["mean", "K = 0.4"]
    assert {record.status for record in runs.records} == {RunStatus.DONE}
    assert all(entropy(runs, f"r{i:02}") == [i + step / 8 for step in range(STEPS)] for i in range(20))
    assert len(runs.metrics[runs.metrics["name"] == "sparse"]) == 20
    assert project.count("Runs") == 3
    asked = project.count("HistoryPage")
    again = sources.load(f"wandb://{PROJECT}")
    assert project.count("HistoryPage") == asked
    assert again.metrics.equals(runs.metrics)
    assert again.records == runs.records


def test_only_new_rows_are_fetched_of_a_run_that_goes_on(project: WandbServer) -> None:
    run = project.runs[ENTITY, "big", "r03"]
    run.state = "running"
    sources.load(PROJECT)
    project.requests.clear()
    project.log(run, [{metrics.GLOBAL_STEP.name: STEPS, metrics.ENTROPY.name: 9.0, "new": 1.0}])
    runs = sources.load(PROJECT)
    assert entropy(runs, "r03") == [*(3 + step / 8 for step in range(STEPS)), 9.0]
    assert {record.id: record.status for record in runs.records}["r03"] is RunStatus.RUNNING
    pages = [request.variables for request in project.requests if request.operation == "HistoryPage"]
    assert [page["minStep"] for page in pages] == [STEPS]
    assert runs.has("new")


def test_a_run_that_was_deleted_and_made_again_is_read_anew(project: WandbServer) -> None:
    sources.load(PROJECT)
    del project.runs[ENTITY, "big", "r03"]
    project.add_run("big", "r03", {"seed": 7}, [{metrics.GLOBAL_STEP.name: 0, metrics.ENTROPY.name: 5.0}])
    assert entropy(sources.load(PROJECT), "r03") == [5.0]


@pytest.mark.usefixtures("project")
def test_a_filter_is_the_servers() -> None:
    runs = sources.load(PROJECT, filters={"config.algorithm.quantile_k": 0.4})
    assert [str(arm) for arm in runs.arms] == ["K = 0.4"]
    with pytest.raises(sources.SourceError, match="no run of loop/big passes the filter"):
        sources.load(PROJECT, filters={"group": "none"})


@pytest.mark.parametrize(("operation", "status"), [("Runs", 500), ("HistoryPage", 429), ("RunHistoryKeys", 502)])
def test_a_fault_of_the_server_is_waited_out(project: WandbServer, operation: str, status: int) -> None:
    project.fail(operation, status)
    runs = wandb_api.load(PROJECT, {"name": "r04"}, waits=QUICK)
    assert entropy(runs, "r04") == [4 + step / 8 for step in range(STEPS)]


def test_a_run_that_cannot_be_read_is_left_out_and_named(project: WandbServer) -> None:
    project.fail("HistoryPage", 404)
    runs = wandb_api.load(PROJECT, waits=QUICK)
    assert len(runs.records) == 19
    (note,) = runs.notes
    (missing,) = {f"r{index:02}" for index in range(20)} - {record.id for record in runs.records}
    assert note.startswith(f"Run {missing} is left out")
    assert len(wandb_api.load(PROJECT, waits=QUICK).records) == 20


def test_a_server_that_gives_nothing_is_an_error(project: WandbServer) -> None:
    project.fail("HistoryPage", 404, 20)
    with pytest.raises(WandbError):
        wandb_api.load(PROJECT, waits=QUICK)
    project.clear_faults()


@pytest.mark.parametrize("exported", [False, True])
def test_rows_without_a_global_step_have_the_clients(project: WandbServer, exported: bool) -> None:
    project.parquet = exported
    project.add_run("big", "mixed", {}, [{metrics.GLOBAL_STEP.name: 5, "a": 1.0}, {"b": 2.0}, {"b": 3.0}])
    runs = sources.load(PROJECT, filters={"name": "mixed"})
    project.parquet = False
    rows = runs.metrics[runs.metrics["name"] != metrics.GLOBAL_STEP.name]
    assert list(zip(rows["step"], rows["name"], rows["value"], strict=True)) == [(1, "b", 2), (2, "b", 3), (5, "a", 1)]
    assert project.count("parquet") > 0 or not exported


def test_infinities_are_kept_and_what_is_undefined_is_absent(project: WandbServer) -> None:
    rows = [{metrics.GLOBAL_STEP.name: 0, "a": "Infinity", "b": "NaN", "c": "text", "d": {"_type": "table"}, "e": None}]
    project.add_run("big", "odd", {}, rows)
    runs = sources.load(PROJECT, filters={"name": "odd"})
    assert dict(zip(runs.metrics["name"], runs.metrics["value"], strict=True)) == {
        "a": float("inf"),
        metrics.GLOBAL_STEP.name: 0,
    }


@pytest.mark.usefixtures("project")
def test_one_clear_sentence_for_no_project_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WandbError, match="there is no project loop/none that this key can read"):
        wandb_api.load(f"{ENTITY}/none", waits=QUICK)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens on the discard port
    result = CliRunner().invoke(source_commands.pull, [PROJECT])
    assert result.exit_code == 2
    assert "W&B at http://127.0.0.1:9 cannot be reached" in result.output


def test_one_clear_sentence_for_no_key(server: WandbServer, tmp_path: Path) -> None:
    """In a process of its own: the client remembers a key."""
    environment = {**os.environ, **server.environment, "HOME": str(tmp_path)}
    del environment["WANDB_API_KEY"]
    command = [sys.executable, "-c", "from sweeps.cli import main; main()", "pull", PROJECT]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "Error: no W&B key is set: run `wandb login`, or set WANDB_API_KEY\n"


def test_pull_then_export_gives_the_tidy_table(project: WandbServer, tmp_path: Path) -> None:
    result = CliRunner().invoke(source_commands.pull, [PROJECT])
    assert result.exit_code == 0, result.output
    assert f"20 runs, {20 * STEPS} new rows" in result.output
    out = tmp_path / "table.parquet"
    arguments = [PROJECT, "--out", str(out), "--filter", json.dumps({"name": "r01"})]
    result = CliRunner().invoke(source_commands.export, arguments)
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(out)
    assert list(table.columns) == ["run", "step", "name", "value"]
    assert set(table["run"]) == {"r01"}
    assert len(table) == 2 * STEPS + 1
    assert project.count("Runs") > 0
