"""The notebooks run on real runs, made once for all of them, and what git holds of them is text."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jupytext
import pytest
import yaml
from nbformat import NotebookNode

from analysis import table
from analysis.sources import run_store
from notebooks import execute
from qae.run_directory import RunDirectory, RunStatus, read_metrics
from sweeps.app import compose_run
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import RunStore
from sweeps.worker.attempt import run_job
from tests import ROOT
from tests.analysis.wandb.server import ENTITY, WandbServer
from tests.support.configs import QUICK

PROJECT = "pulled"
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight trained runs: the mean and K = 0.4 under two clips, two seeds."""
    root = tmp_path_factory.mktemp("notebooks") / "runs"
    for clip in ("clip_higher", "clip_symmetric"):
        for k in (-1, 0.4):
            for seed in (0, 1):
                axes = (f"regularizer={clip}", f"algorithm.quantile_k={k}", f"seed={seed}")
                config = compose_run((*axes, "tracking=none", *QUICK))
                directory = RunStore(root).create(run_id(config), config)
                assert run_job(directory, "notebooks", []) is RunStatus.DONE
    search = ("hydra/sweeper=optuna", "search.sampler=grid", "search.n_trials=2", "sweep.name=found")
    space = ("algorithm.quantile_k=choice(-1,0.4)", "seed=0,1", "tracking=none", f"sweep.root={root}")
    subprocess.run([sys.executable, "sweep.py", "-m", *search, *space, *QUICK], cwd=ROOT, check=True, timeout=600)
    return root


@pytest.fixture(scope="session")
def server(store: Path) -> Iterator[WandbServer]:
    """A double of W&B's server that has the same runs."""
    with WandbServer() as double:
        for record in run_store.load(store).records:
            directory = RunDirectory(store / record.id)
            rows = read_metrics(directory).records
            history = [{"_step": row["step"], **{k: v for k, v in row.items() if "/" in k}} for row in rows]
            double.add_run(PROJECT, record.id, yaml.safe_load(directory.config.read_text()), history)
        yield double
        assert double.unknown == []


Executions = Mapping[str, "Future[NotebookNode]"]


@pytest.fixture(scope="session")
def executions(store: Path, server: WandbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executions]:
    """Every notebook, two at a time; the last one on the project of the server."""
    of_store = {"QAE_SOURCE": str(store)}
    cache = str(tmp_path_factory.mktemp("cache"))
    of_project = {**server.environment, "QAE_SOURCE": f"{ENTITY}/{PROJECT}", "QAE_CACHE": cache}
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(execute.execute, name, of_project if name == "06_wandb" else of_store)
            for name in execute.names()
        }


def outputs(notebook: NotebookNode) -> str:
    """All that a notebook shows as text."""
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in shown]
    texts = [each.get("text/markdown") or each.get("text/html") or each.get("text/plain", "") for each in data]
    return "\n".join([*texts, *(output.get("text", "") for output in shown)])


def pictures(notebook: NotebookNode) -> int:
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in shown)


def test_the_first_look_has_every_run_and_the_numbers_of_the_table(executions: Executions, store: Path) -> None:
    text = outputs(executions["01_first_look"].result())
    runs = run_store.load(store)
    assert "8 runs in 4 arms" in text
    assert all(record.id in text for record in runs.records)
    for row in table.summarise(runs).rows:
        assert row.pass_1 is not None
        assert f"{row.pass_1.value:.3f} [{row.pass_1.low:.3f}, {row.pass_1.high:.3f}]" in text


def test_the_method_has_sliders_that_show_a_picture(executions: Executions) -> None:
    notebook = executions["02_method"].result()
    models = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    kinds = [model["model_name"] for model in models]
    assert kinds.count("FloatSliderModel") == 3
    assert kinds.count("IntSliderModel") == 2
    images = [model for model in models if model["model_name"] == "ImageModel"]
    assert len(images) == 3
    assert all(len(image["buffers"][0]["data"]) > 10_000 for image in images)


def test_the_dynamics_are_drawn_and_what_lacks_its_runs_says_so(executions: Executions) -> None:
    notebook = executions["03_dynamics"].result()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    sentences = [output["data"]["text/markdown"] for output in shown if "text/markdown" in output.get("data", {})]
    calls = [cell.source for cell in notebook.cells if cell.source.startswith("notebook.draw(")]
    assert pictures(notebook) + len(sentences) == len(calls) == 18
    assert pictures(notebook) >= 10
    assert any("+experiment=reward_noise" in sentence for sentence in sentences)
    text = outputs(notebook)
    assert "K = 0.4 - mean" in text
    assert "not shown" in text


def test_what_pushes_entropy_is_told_for_each_arm_with_the_mean(executions: Executions) -> None:
    text = outputs(executions["04_choosing_k"].result())
    assert text.count("cause: advantage, mean over tokens") == 2


def test_regularizers_are_compared_on_the_same_seeds(executions: Executions) -> None:
    text = outputs(executions["05_regularizers"].result())
    assert "mean, clip_symmetric - mean" in text
    assert "K = 0.4, clip_symmetric - mean, clip_symmetric" in text
    assert "so that all 6 hold together" in text


def test_what_to_do_next_is_advised_and_refined(executions: Executions) -> None:
    text = outputs(executions["07_advice"].result())
    assert text.count("cause: advantage, mean over tokens") == 2
    assert "Zero advantages: predicted from the success rates" in text
    assert "seeds needed" in text
    assert "n = 8 runs. A good run ends with" in text
    assert "quantile_k=0.4" in text
    assert "K = 0.4, clip_symmetric - mean, clip_symmetric" in text


def test_a_project_of_wandb_is_pulled_checked_and_compared(executions: Executions) -> None:
    notebook = executions["06_wandb"].result()
    text = outputs(notebook)
    assert f"8 runs in 4 arms from {ENTITY}/{PROJECT}" in text
    assert "K = 0.4 - mean" in text
    assert pictures(notebook) == 1


def test_none_takes_a_minute(executions: Executions) -> None:
    for execution in executions.values():
        cells = [cell for cell in execution.result().cells if "execution" in cell.metadata]
        times = [cell.metadata["execution"] for cell in cells]
        begun, ended = times[0]["iopub.status.busy"], times[-1]["iopub.status.idle"]
        assert _seconds(ended) - _seconds(begun) < 60


def test_git_holds_text_in_the_form_that_jupyter_writes_back() -> None:
    tracked = subprocess.run(["git", "ls-files", "."], cwd=execute.FOLDER, capture_output=True, text=True, check=True)
    assert not [name for name in tracked.stdout.split() if name.endswith(".ipynb")]
    for name in execute.names():
        text = (execute.FOLDER / f"{name}.py").read_text()
        assert _body(jupytext.writes(jupytext.reads(text, fmt="py:percent"), fmt="py:percent")) == _body(text)


def test_a_cell_that_fails_fails_the_notebook(tmp_path: Path) -> None:
    with pytest.raises(execute.NotebookError, match=r"04_choosing_k: [\s\S]*SourceError"):
        execute.execute("04_choosing_k", {"QAE_SOURCE": str(tmp_path)})


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def _body(text: str) -> str:
    """Without the header, which names jupytext's version."""
    return text.split("\n# ---\n", 1)[1]
