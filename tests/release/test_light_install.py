"""The light environment: no torch, no verl; it plans, tabulates and draws, and trains nothing."""

import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.analysis.stores import write_sweep
from tests.support.environments import light, variables

pytestmark = [pytest.mark.slow, pytest.mark.long]
_MOST_MEGABYTES = 700


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make setup-light` makes it, for a copy of the checkout."""
    return light(tmp_path_factory.mktemp("light") / "venv", "--no-build-isolation", "--editable", str(ROOT))


def qae(environment: Path, *arguments: str, runs: Path) -> subprocess.CompletedProcess[str]:
    command = [str(environment / "bin" / "python"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables(runs), capture_output=True, text=True, check=False)


def test_it_is_small_and_has_nothing_that_trains(environment: Path) -> None:
    places = {path.name.lower() for path in environment.glob("lib/python3*/site-packages/*")}
    assert not places & {"torch", "verl", "ray", "triton", "nvidia", "transformers"}
    bytes_of = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    assert bytes_of < _MOST_MEGABYTES * 10**6


def test_a_sweep_of_verl_is_planned_and_checked_for_slurm(environment: Path, tmp_path: Path) -> None:
    plan = ("sweep.py", "-m", "model=qwen3-8b-base", "hydra/launcher=slurm", "sweep.dry_run=true")
    done = qae(environment, *plan, "algorithm.quantile_k=-1,0.4", runs=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 to submit" in done.stdout
    wrong = qae(environment, *plan, "actor_rollout_ref.actor.policy_loss.loss_mode=nonsense", runs=tmp_path)
    assert (wrong.returncode, "loss_mode" in wrong.stderr) == (2, True), wrong.stderr
    mistyped = qae(environment, *plan, "++trainer.balanced_batch=true", runs=tmp_path)
    assert "did you mean trainer.balance_batch?" in mistyped.stderr


@pytest.mark.parametrize("typed", [["model=tabular"], ["model=tiny"], ["model=qwen3-random-tiny"]])
def test_what_it_cannot_train_is_refused_before_anything_is_written(
    environment: Path, tmp_path: Path, typed: list[str]
) -> None:
    done = qae(environment, "sweep.py", *typed, runs=tmp_path / "runs")
    assert done.returncode == 2
    assert "torch is not installed in this environment" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_it_reads_and_draws_runs(environment: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_sweep(runs)
    for command in (
        ["status", "--json"],
        ["table", "--markdown"],
        ["compare"],
        ["figures", "--out", str(tmp_path / "figures")],
        ["export", str(runs), "--out", str(tmp_path / "all.parquet")],
        ["report", "--out", str(tmp_path / "report.html")],
        ["doctor", "model=qwen3-8b-base"],
    ):
        done = qae(environment, "-m", "sweeps.cli", *command, runs=runs)
        assert done.returncode == (1 if command[0] == "doctor" else 0), (command, done.stderr)
        assert "Traceback" not in done.stderr
    assert list((tmp_path / "figures").rglob("*.png"))
    assert (tmp_path / "report.html").stat().st_size > 10_000
