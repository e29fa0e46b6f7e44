"""Hydra's command line as ours: every way to ask for a run or a sweep brings its outcome back to the caller."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sweeps import app
from sweeps.launching.launch import Outcome
from tests.support.configs import QUICK

pytestmark = pytest.mark.slow


def outcome_of(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, root: Path) -> Outcome | None:
    monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments])
    monkeypatch.setenv("QAE_RUNS", str(root))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # `main` sets it; nothing of it is left for other tests
    return app.main()


PLAN = ("sweep.dry_run=true", "tracking=none")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((*PLAN, "seed=1"), "single"),
        (("--run", *PLAN), "single"),
        ((*PLAN, "sweep.name=mine"), "mine"),
        (("-m", *PLAN, "seed=0,1"), "default-seed"),
        (("hydra.mode=MULTIRUN", *PLAN, "algorithm.quantile_k=0.2,0.4"), "quantile_k"),
        (("-m", *PLAN, "hydra/launcher=slurm", "slurm.partition=gpu", "+experiment=fig9"), "fig9"),
    ],
)
def test_a_launch_returns_its_own_outcome(
    arguments: Sequence[str], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert outcome_of(arguments, monkeypatch, tmp_path) == Outcome(tmp_path, name, (), 0)


def test_a_search_returns_that_it_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = ("-m", *PLAN, "hydra/sweeper=optuna", "algorithm.quantile_k=interval(0.1,0.5)", "sweep.dry_run=false")
    few = ("search.n_trials=1", *QUICK)
    found = outcome_of((*arguments, *few), monkeypatch, tmp_path)
    assert found == Outcome(tmp_path, "search-quantile_k", (), 0, is_search=True)


def test_what_runs_nothing_has_no_outcome_even_after_a_launch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome_of(PLAN, monkeypatch, tmp_path) is not None
    capsys.readouterr()
    assert outcome_of(("--cfg", "job", "--package", "seed", "seed=17"), monkeypatch, tmp_path) is None
    assert capsys.readouterr().out.strip() == "17"


def test_run_ids_come_back_in_the_order_of_the_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = ("-m", "tracking=none", *QUICK, "trainer.total_training_steps=1", "sweep.parts=[]", "seed=1,0")
    found = outcome_of(arguments, monkeypatch, tmp_path)
    assert found is not None
    assert found.exit_code == 0
    assert set(found.run_ids) == {path.parent.name for path in tmp_path.glob("*/config.yaml")}
    again = outcome_of([*arguments[:-1], "seed=0,1"], monkeypatch, tmp_path)
    assert again is not None
    assert again.run_ids == found.run_ids[::-1]


LAUNCHER = """\
defaults:
  - config
  - override hydra/launcher: basic
"""


@pytest.mark.parametrize("multirun", [(), ("-m",)])
def test_a_folder_of_ones_own_is_read_by_runs_and_sweeps(
    multirun: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "own" / "model" / "mine.yaml"
    model.parent.mkdir(parents=True)
    model.write_text("# @package _global_\ndefaults: [tabular]\nlabels: {model: mine}\n")
    arguments = (*multirun, *PLAN, "--config-dir", str(tmp_path / "own"), "model=mine", "sweep.parts=[]")
    assert outcome_of(arguments, monkeypatch, tmp_path / "runs") is not None
    assert "1 run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--config-dir", "nowhere", "-m"), "nowhere' not found"),
        (("--experimental-rerun", "a.pickle"), "--experimental-rerun=a.pickle cannot be used"),
        (("-m", "--config-name", "basic", "--config-dir", "own"), "hydra/launcher='basic' cannot be used: give local"),
    ],
)
def test_what_hydra_would_do_without_a_store_is_refused(
    arguments: Sequence[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "basic.yaml").write_text(LAUNCHER)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        outcome_of(arguments, monkeypatch, tmp_path / "runs")
    assert end.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
