"""Projects on W&B of any legal name and in any form that a user writes, with the real client against the double."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis import sources
from analysis.commands import results as commands
from analysis.commands import sources as source_commands
from analysis.dashboard.commands import push
from analysis.report.commands import report
from analysis.sources.wandb import names as wandb_names
from analysis.sources.wandb.names import NotAProjectError, Project
from analysis.sources.wandb.sync import Outcome, sync
from qae import metrics
from qae.run_directory import JsonlWriter, RunDirectory, RunState, RunStatus
from tests.analysis.stores import config, step_line
from tests.analysis.wandb.runs import ENTITY
from tests.analysis.wandb.server import WandbServer

NAMES = ("My Project (v2)", "Prüfung ÄÖ", "数学 🚀", "a.b_c-d", "O'Reilly & Söhne, [x]+y=z~", "x" * 128)
AXIS = metrics.GLOBAL_STEP.name


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with WandbServer() as double:
        monkeypatch.setenv("QAE_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        for name, value in double.environment.items():
            monkeypatch.setenv(name, value)
        yield double
        assert double.unknown == []


def fill(server: WandbServer, name: str) -> None:
    """Two arms of two seeds, and a group of one of them."""
    for index, (k, seed) in enumerate([(-1, 1), (-1, 2), (0.4, 1), (0.4, 2)]):
        rows = [{AXIS: step, metrics.ENTROPY.name: 0.8 - step / 100 + index} for step in range(1, 7)]
        run = server.add_run(name, f"r{index}", {"algorithm": {"quantile_k": k}, "data": {"seed": seed}}, rows)
        run.group = "first half" if index < 2 else None


def invoke(command: object, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)  # type: ignore[arg-type]  # a click command
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_project_of_any_legal_name_is_a_source_of_every_command(server: WandbServer, name: str) -> None:
    fill(server, name)
    fill(server, "other")
    for text in (f"{ENTITY}/{name}", f"wandb://{ENTITY}/{name}/", f"wandb://{name}"):
        runs = sources.load(text)
        assert {str(arm): [record.seed for record in of] for arm, of in runs.arms.items()} == {
            "mean": [1, 2],
            "K = 0.4": [1, 2],
        }
    assert "4 runs, 0 new rows" in invoke(source_commands.pull, f"{ENTITY}/{name}").output, "the cache has its key"
    assert "4 runs" in invoke(source_commands.export, f"{ENTITY}/{name}", "--out", "t.csv").output
    assert "K = 0.4" in invoke(commands.table, f"{ENTITY}/{name}").output
    drawn = invoke(commands.figures, f"{ENTITY}/{name}", "entropy_and_pass", "--format", "svg").stdout.split("\n")
    assert Path(drawn[0]).is_file()
    assert Path(invoke(report, f"{ENTITY}/{name}", "--no-figures").stdout.split("\n")[0]).is_file()


@pytest.mark.slow
def test_a_run_a_group_and_an_address_pick_out_runs(server: WandbServer) -> None:
    fill(server, "My Project")
    page = f"{server.url}/{ENTITY}/My%20Project"
    for text, expected in (
        (f"{ENTITY}/My Project/r2", {"r2"}),
        (f"{ENTITY}/My Project/runs/r2", {"r2"}),
        (f"{page}/runs/r2?nw=nwuser#x", {"r2"}),
        (f"{page}/runs/r2/overview", {"r2"}),
        (f"{page}/groups/first%20half/workspace", {"r0", "r1"}),
        (f"{page}/workspace?nw=abc", {"r0", "r1", "r2", "r3"}),
        (f"{page}/", {"r0", "r1", "r2", "r3"}),
    ):
        assert {record.id for record in sources.load(text).records} == expected, text
    with pytest.raises(sources.SourceError, match="passes the filter"):
        sources.load(f"{ENTITY}/My Project/r2", filters={"config.data.seed": 2})  # the run has seed 1


@pytest.mark.slow
def test_runs_are_synced_to_a_project_of_any_legal_name(server: WandbServer, tmp_path: Path) -> None:
    name = NAMES[0]
    directory = RunDirectory(tmp_path / "runs" / "aaaa")
    directory.path.mkdir(parents=True)
    code = (
        "import sys, wandb\n"
        "run = wandb.init(project=sys.argv[1], id='aaaa', dir=sys.argv[2], settings=wandb.Settings(console='off'))\n"
        f"run.log({{'{AXIS}': 1, 'actor/entropy': 0.5}}, step=1)\nrun.finish()\n"
    )
    inherited = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    environment = {**inherited, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    subprocess.run([sys.executable, "-c", code, name, str(directory.path)], env=environment, check=True, timeout=600)
    values = config({"seed": 1})
    values["tracking"] = {"backend": "wandb", "mode": "offline", "project": name, "entity": None}
    from omegaconf import OmegaConf

    OmegaConf.save(OmegaConf.create(values), directory.config)
    with JsonlWriter(directory.metrics) as lines:
        lines.append(*(step_line(step, 1, -1) for step in (1, 2)))
    directory.write_state(RunState(RunStatus.DONE, step=2, total_steps=2))
    (synced,) = sync(directory.path.parent, ["aaaa"], waits=(0.1, 0.1))
    assert (synced.outcome, synced.sent, synced.path) == (Outcome.SENT, 2, f"{ENTITY}/{name}/aaaa"), synced
    assert set(server.runs) == {(ENTITY, name, "aaaa")}
    assert sources.load(f"{ENTITY}/{name}").records[0].step == 2


@pytest.mark.slow
def test_a_dashboard_goes_to_a_project_of_any_legal_name(server: WandbServer) -> None:
    fill(server, NAMES[0])
    invoke(push, f"{ENTITY}/{NAMES[0]}")
    assert {view["projectName"] for view in server.views.values()} == {NAMES[0]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e/p", Project("e", "p")),
        (" e/My Project (v2)/ ", Project("e", "My Project (v2)")),
        ("wandb://p", Project(None, "p")),
        ("https://wandb.ai/e/p", Project("e", "p")),
        ("wandb.ai/e/p/runs/x1", Project("e", "p", {"name": "x1"})),
        ("https://www.wandb.ai/e/M%20%C3%BC/table?nw=a", Project("e", "M ü")),
        ("https://wandb.ai/e/p/sweeps/s1", Project("e", "p", {"sweep": "s1"})),
        ("https://wandb.ai/e/p/runs/x1/files/config.yaml", Project("e", "p", {"name": "x1"})),
    ],
)
def test_what_a_text_names(text: str, expected: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    assert wandb_names.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no project"),
        ("e//p", "write entity/project"),
        ("e/a:b", "':'"),
        ("e/a%20b", "'%'"),
        ("e/what?", "'?'"),
        ("e/" + "x" * 129, "128"),
        ("a/b/c/d", "write entity/project"),
        ("https://wandb.ai/e/p/reports/Title--Vmlld", "report"),
        ("https://wandb.ai/e", "names no project"),
        ("https://github.com/e/p", "github.com"),
    ],
)
def test_what_names_no_project_is_told_why(text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    with pytest.raises(NotAProjectError) as caught:
        wandb_names.parse(text)
    assert says in str(caught.value)


def test_a_mistyped_path_is_not_asked_of_wandb(server: WandbServer, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for text in ("runs/typo", "./typo", "../typo", str(tmp_path / "typo"), "~/typo"):
        with pytest.raises(sources.SourceError) as caught:
            sources.load(text)
        assert "no file or directory" in str(caught.value)
        assert "wandb://" in str(caught.value)
    assert server.requests == []


@pytest.mark.slow
def test_what_may_be_a_project_is_named_in_both_readings(server: WandbServer) -> None:
    result = CliRunner().invoke(commands.table, ["nobody/typo"])
    assert result.exit_code == 2
    assert "no file or directory" in result.output
    assert "no project nobody/typo" in result.output
    assert server.requests
