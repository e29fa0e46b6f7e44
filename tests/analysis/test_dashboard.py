"""Dashboards as code: the specification, pushed to the double of the server, and the local one in Trackio."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.dashboard.commands import dashboard
from analysis.dashboard.panels import SECTIONS
from qae import metrics
from tests.analysis.stores import entropy, write_sweep
from tests.analysis.wandb.server import ENTITY, WandbServer

QAE = Path(sys.executable).with_name("qae")
pytestmark = pytest.mark.slow
ASKED_FOR = {
    metrics.ENTROPY,
    metrics.ENTROPY_POSITIVE,
    metrics.ENTROPY_NEGATIVE,
    metrics.ZERO_FRACTION,
    metrics.POSITIVE_FRACTION,
    metrics.NEGATIVE_FRACTION,
    metrics.pass_at(1),
    metrics.pass_at(16),
    metrics.ADVANTAGE_TOKEN_MEAN,
    metrics.LENGTH_MEAN,
    metrics.LENGTH_RIGHT,
    metrics.LENGTH_WRONG,
    metrics.CLIP_FRACTION,
    metrics.CLIP_FRACTION_POSITIVE,
    metrics.CLIP_FRACTION_NEGATIVE,
    metrics.CLIP_FRACTION_LOWER,
    metrics.CLIP_DRIFT,
}
GROUPING = [
    {"section": "config", "name": "algorithm.value.advantage"},
    {"section": "config", "name": "algorithm.value.quantile_k"},
    {"section": "config", "name": "labels.value.regularizer"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with WandbServer() as double:
        double.add_run("swept", "a", {"seed": 0}, [{metrics.ENTROPY.name: 0.5}])
        yield double
        assert double.unknown == []


def qae(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [QAE, "dashboard", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def drawn(panels: list[dict[str, object]]) -> set[str]:
    """Names of all metrics of some panels, which share their axis."""
    configs = [panel["config"] for panel in panels]
    assert all(isinstance(config, dict) and config["xAxis"] == metrics.GLOBAL_STEP.name for config in configs)
    return {name for config in configs if isinstance(config, dict) for name in config["metrics"]}


def test_charts_show_metrics_of_one_unit_that_are_logged() -> None:
    charts = [chart for section in SECTIONS for chart in section.charts]
    shown = {metric for chart in charts for metric in chart.metrics}
    assert shown >= ASKED_FOR
    assert all(len({metric.unit for metric in chart.metrics}) == 1 for chart in charts)


def test_the_specification_needs_no_server_and_is_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    printed = CliRunner().invoke(dashboard, ["spec", "us/swept"])
    assert printed.exit_code == 0, printed.output
    written = CliRunner().invoke(dashboard, ["spec", "us/swept", "--out", str(tmp_path / "spec.json")])
    assert written.exit_code == 0, written.output
    assert (tmp_path / "spec.json").read_text() == printed.stdout
    view = json.loads(printed.stdout)
    assert (view["entity"], view["project"]) == ("us", "swept")
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == [section.name for section in SECTIONS]
    panels = [panel for section in sections for panel in section["panels"]]
    assert drawn(panels) >= {metric.name for metric in ASKED_FOR}
    ids = [panel["__id__"] for panel in panels]
    assert ids == [str(number) for number in range(len(ids))]
    assert view["spec"]["section"]["runSets"][0]["grouping"] == GROUPING


def test_a_push_saves_a_workspace_and_a_report(server: WandbServer) -> None:
    pushed = qae("push", f"{ENTITY}/swept", "--name", "K sweep", environment=server.environment)
    assert pushed.returncode == 0, pushed.stderr
    lines = dict(line.split(": ", 1) for line in pushed.stdout.splitlines())
    assert f"/{ENTITY}/swept" in lines["workspace"]
    assert f"/{ENTITY}/swept/reports/K-sweep" in lines["report"]
    views = {view["type"]: view for view in server.views.values()}
    workspace, report = json.loads(views["project-view"]["spec"]), json.loads(views["runs"]["spec"])
    assert views["runs"]["displayName"] == views["project-view"]["displayName"] == "K sweep"
    sections = workspace["section"]["panelBankConfig"]["sections"]
    in_workspace = drawn([panel for section in sections for panel in section["panels"]])
    grids = [block["metadata"] for block in report["blocks"] if block["type"] == "panel-grid"]
    in_report = [drawn(grid["panelBankSectionConfig"]["panels"]) for grid in grids]
    assert len(grids) == len(SECTIONS)
    assert set().union(*in_report) == in_workspace >= {metric.name for metric in ASKED_FOR}
    assert all(grid["runSets"][0]["grouping"] == GROUPING for grid in grids)


def test_a_refused_push_is_one_sentence(server: WandbServer) -> None:
    server.fail("upsertView", 403)
    refused = qae("push", f"{ENTITY}/swept", environment=server.environment)
    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    assert last.startswith(f"Error: W&B did not take the dashboard of {ENTITY}/swept")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ["push", "spec"])
def test_what_is_no_project_gets_a_sentence(command: str) -> None:
    result = CliRunner().invoke(dashboard, [command, "swept"])
    assert result.exit_code == 2
    assert "write entity/project" in result.output


def test_the_local_dashboard_serves_the_runs_until_ctrl_c(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    (tmp_path / "trackio").mkdir()
    (tmp_path / "trackio" / "demo.db").write_bytes(b"")  # of an earlier call: written anew
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(QAE), "dashboard", "local", "--no-browser", "--port", str(port), "--root", str(tmp_path)]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        line = served.stdout.readline()
        assert line.startswith(f"6 runs at http://127.0.0.1:{port}/?project=demo"), line
        page = _answer(f"http://127.0.0.1:{port}/", None)
        assert b"<html" in page.lower()
        runs = json.loads(_answer(f"http://127.0.0.1:{port}/api/get_runs_for_project", {"project": "demo"}))
        names = sorted(run["name"] for run in runs["data"])
        assert names[:2] == ["K = 0.4, seed 0", "K = 0.4, seed 1"]
        assert len(names) == 6
        asked = {"project": "demo", "run": "K = 0.4, seed 1"}
        logs = json.loads(_answer(f"http://127.0.0.1:{port}/api/get_logs", asked))["data"]
        found = {log["step"]: log[metrics.ENTROPY.name] for log in logs if metrics.ENTROPY.name in log}
        assert found == pytest.approx({step: entropy(step, 1, 0.4) for step in range(1, 7)})
        served.send_signal(signal.SIGINT)
        assert served.wait(timeout=600) == 0
    finally:
        if served.poll() is None:
            served.kill()
            served.wait()


def test_a_place_that_trackio_cannot_write_gets_a_sentence(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    (tmp_path / "trackio").write_text("a file\n")
    refused = qae("local", "--no-browser", "--root", str(tmp_path), environment={})
    assert refused.returncode == 2
    assert f"Trackio keeps its files in {tmp_path / 'trackio'}, which cannot be written" in refused.stderr
    assert "Traceback" not in refused.stderr


def _answer(url: str, asked: dict[str, str] | None, seconds: float = 600) -> bytes:
    """What the address answers, once it does."""
    body = None if asked is None else json.dumps(asked).encode()
    deadline = time.monotonic() + seconds
    while True:
        try:
            request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310
                return bytes(response.read())
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
