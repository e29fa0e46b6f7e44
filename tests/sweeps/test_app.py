"""What is typed: help, plans without heavy imports, and one sentence for a mistake."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests import ROOT
from tests.support import forks

pytestmark = [pytest.mark.slow, pytest.mark.long]

HEAVY = ("torch", "verl", "wandb", "pandas", "matplotlib", "ray", "transformers", "scipy", "optuna")
Sweep: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def sweep() -> Iterator[Sweep]:
    """`python sweep.py` with arguments and a store, beside which it runs."""
    with forks.forks_of(forks.SWEEP) as planner:

        def typed(*arguments: str, runs: Path) -> subprocess.CompletedProcess[str]:
            return planner.run(*arguments, cwd=runs.parent, environment={"QAE_RUNS": str(runs), "COLUMNS": "200"})

        yield typed


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--cfg", "job"],
        ["-m", "sweep.dry_run=true"],
        ["sweep.dry_run=true"],
        ["-m", "model=qwen3-8b-base", "regularizer=clip_higher,kl_cov", "sweep.dry_run=true"],
    ],
)
def test_composing_and_planning_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, json, runpy; sys.argv = ['sweep.py', *json.loads(sys.argv[1])]\n"
        "try: runpy.run_path('sweep.py', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "QAE_RUNS": str(tmp_path / "runs")},
        check=True,
    )
    assert json.loads(result.stderr.splitlines()[-1]) == []
    assert result.stdout
    assert not (tmp_path / "runs").exists()


def test_the_compose_path_imports_in_under_a_second() -> None:
    code = (
        "import time, hydra; start = time.process_time(); import sweeps.app, sweeps.launching.launch;"
        "print(time.process_time() - start)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert float(result.stdout) < 1


def test_qae_help_lists_the_commands_of_all_packages_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from sweeps.cli import main\n"
        "print(CliRunner().invoke(main, ['--help']).output)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    for command in ("status", "table", "figures"):
        assert f"  {command} " in result.stdout


def test_the_default_sweep_is_seven_arms_of_five_seeds_and_a_plan_writes_nothing(sweep: Sweep, tmp_path: Path) -> None:
    result = sweep("-m", "sweep.dry_run=true", runs=tmp_path / "runs")
    assert result.returncode == 0
    assert "35 runs" in result.stdout
    assert "regularizer=clip_symmetric" in result.stdout
    assert "nothing was started" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_plan_as_json_is_a_run_a_line_and_nothing_else(sweep: Sweep, tmp_path: Path) -> None:
    arguments = ["-m", "algorithm.quantile_k=-1,0.4", "seed=0,1"]
    result = sweep(*arguments, "sweep.dry_run=json", runs=tmp_path / "runs")
    assert result.returncode == 0, result.stderr
    runs = [json.loads(line) for line in result.stdout.splitlines()]
    assert [run["overrides"] for run in runs] == [
        [f"algorithm.quantile_k={k}", f"seed={seed}"] for k in ("-1", "0.4") for seed in (0, 1)
    ]
    assert {(run["sweep"], run["action"], run["step"]) for run in runs} == {("quantile_k-seed", "start", 0)}
    shown = sweep(*arguments, "sweep.dry_run=true", runs=tmp_path / "runs")
    assert ids(shown.stdout) == {run["id"] for run in runs}
    assert list(tmp_path.iterdir()) == []


def test_a_plan_for_verl_says_what_it_runs_on_and_how_long(sweep: Sweep, tmp_path: Path) -> None:
    arguments = ["-m", "model=qwen3-8b-base,qwen2.5-32b", "algorithm.quantile_k=-1,0.4", "sweep.dry_run=true"]
    result = sweep(*arguments, runs=tmp_path / "runs")
    assert result.returncode == 0
    assert "4 runs" in result.stdout
    assert result.stdout.count("4x8 GPUs") == 2
    assert result.stdout.count("16x8 GPUs") == 2
    assert "GPU hours in all" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_same_computation_is_planned_once(sweep: Sweep, tmp_path: Path) -> None:
    result = sweep("-m", "sweep.dry_run=true", "algorithm.quantile_k=-1,0,1.5,0.4", runs=tmp_path / "runs")
    assert "2 runs" in result.stdout
    assert "2 jobs compute what another one computes" in result.stdout
    assert "algorithm.quantile_k=1.5 is not between 0 and 1, so the baseline is the group's mean" in result.stdout


def test_an_experiment_and_another_axis_multiply(sweep: Sweep, tmp_path: Path) -> None:
    seeds = ",".join(str(seed) for seed in range(100, 110))  # the experiment's own
    arguments = ["+experiment=fig9", "-m", f"seed={seeds}", "sweep.dry_run=true"]
    result = sweep(*arguments, runs=tmp_path / "runs")
    assert "Plan of sweep 'fig9-seed': 40 runs" in result.stdout
    assert "seed has the values of the command line" in result.stdout
    plain = sweep("-m", "+experiment=fig9", "sweep.dry_run=true", runs=tmp_path / "runs")
    assert ids(plain.stdout) == ids(result.stdout)


def test_a_range_is_planned_as_its_numbers(sweep: Sweep, tmp_path: Path) -> None:
    ranged, listed = (
        sweep("-m", f"algorithm.quantile_k={values}", "sweep.dry_run=true", runs=tmp_path / "runs")
        for values in ("range(0.1,0.5,0.1)", "0.1,0.2,0.3,0.4")
    )
    assert len(ids(ranged.stdout)) == 4
    assert ids(ranged.stdout) == ids(listed.stdout)


def test_a_single_run_of_an_experiment_says_that_it_is_one(sweep: Sweep, tmp_path: Path) -> None:
    result = sweep("+experiment=fig9", "seed=1", "seed=2", "sweep.dry_run=true", runs=tmp_path / "runs")
    assert "-m runs the whole experiment" in result.stdout
    assert "seed is given 2 times, and the last value counts, 2" in result.stdout


def ids(text: str) -> set[str]:
    return set(re.findall(r"\b[0-9a-f]{12}\b", text))


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("algorithm.quantile_k=abc", "algorithm.quantile_k='abc' cannot be used: give a number"),
        ("algorithm.quantile_k=nan", "algorithm.quantile_k=nan cannot be used: NaN"),
        ("regularizer=clip_hihger", "did you mean clip_higher?"),
        ("regularizr=gspo", "did you mean regularizer?"),
        ("algorithm.quantile_kk=0.4", "did you mean algorithm.quantile_k?"),
        ("++actor_rollout_ref.actor.clip_ratio_hi=0.3", "did you mean actor_rollout_ref.actor.clip_ratio_high?"),
        ("model=qwen3-8b", "did you mean qwen3-8b-base?"),
        ("model=qwen3-8b-base", "data.train_files='data/dapo-math-17k.parquet' cannot be used: there is no such file"),
        ("reading=dapo_script", "reading is no choice of this model"),
        ("regularizer=kl_penalty", "the embedded trainer has no KL loss"),
        ("regularizer=entropy_bonus", "the embedded trainer has no entropy bonus"),
        ("algorithm.quantile_on=length", "choose one of score, accuracy"),
        ("+experiment=fig99", "experiment=fig99 does not exist"),
        ("tracking.mode=cloud", "choose one of auto, online, offline"),
        ("tracking.backend=mlflow", "choose one of wandb, none"),
        ("resources.threads=0", "resources.threads=0 cannot be used"),
        ("resources.parallel=two", "resources.parallel='two' cannot be used"),
        ("sweep.name=a/b", "sweep.name='a/b' cannot be used"),
        ("sweep.retry=perhaps", "sweep.retry='perhaps' cannot be used"),
        ("sweep.dry_run=yaml", "sweep.dry_run='yaml' cannot be used: give true or false, or json"),
        ("backend=jax", "backend='jax' cannot be used: choose one of tabular, tiny, verl"),
        ("seed=[1", "seed=[1 cannot be read as KEY=VALUE"),
        ("experiment=fig9", "write +experiment=fig9"),
        ("+algorithm.quantile_k=0.4", "write algorithm.quantile_k=… without the plus"),
        ("~model", "instead of ~model"),
        ("+lr=1", "did you mean actor_rollout_ref.actor.optim.lr?"),
        ("seed=0-4", "'seed=range(0,5)' with -m"),
        ("algorithm.quantile_k=[0.2,0.4]", "algorithm.quantile_k=0.2,0.4 with -m"),
        ("actor_rollout_ref.rollout.n=1", "give at least 2"),
        ("hydra.run.dir=out", "sweep.root"),
        ("trainer.total_training_steps=0", "trainer.total_training_steps=0 cannot be used: give a number above 0"),
    ],
)
@pytest.mark.parametrize("multirun", [False, True])
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    sweep: Sweep, argument: str, says: str, multirun: bool, tmp_path: Path
) -> None:
    of_one_run = ["-m", "sweep.parts=[]"]  # the default sweep has 35
    result = sweep(*(of_one_run if multirun else []), argument, runs=tmp_path / "runs")
    assert result.returncode == 2
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr + result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["algorithm.quantile_k=0.2,0.4"], "names several values; add -m"),
        (["algorithm.quantile_k=range(0.1,0.5,0.1)"], "names several values; add -m"),
        (["-m", "algorithm.quantile_k=interval(0.1,0.5)"], "hydra/sweeper=optuna"),
        (["-m", "sweep.parts=[{seed:[range(0,3)]}]"], "a range inside brackets"),
        (["-m", "+experiment=fig9", "+experiment=fig1"], "give one +experiment"),
        (["-m", "--lr=3"], "write actor_rollout_ref.actor.optim.lr=3"),
        (["-m", "hydra/sweeper=optuna", "seed=0,1", "algorithm.quantile_k=0.2,0.4", "sweep.dry_run=json"], "give true"),
        (["-m", "hydra/sweeper=optuna", "actor_rollout_ref.rollout.n=2,1,4"], "give at least 2"),
        (["-m", "--cfg", "job"], "Only one of --run, --multirun, --cfg"),
        (["-m", "+experiment=reward_noise,learning_rate"], "it holds for the whole sweep; give one value"),
        (["-m", "hydra/launcher=slrum"], "hydra/launcher=slrum does not exist"),
        (["-m", "sweep.parts=[1]"], "give a list of mappings from a key to its list of values"),
    ],
)
def test_a_misused_command_line_is_one_sentence(sweep: Sweep, arguments: list[str], says: str, tmp_path: Path) -> None:
    result = sweep(*arguments, runs=tmp_path / "runs")
    assert result.returncode == 2
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_is_one_sentence(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    result = sweep("-m", runs=tmp_path / "runs")
    assert result.returncode == 2
    assert f"sweep.root='{tmp_path / 'runs'}' cannot be used: {tmp_path / 'runs'} is a file" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tabel"], "did you mean qae table?"),
        (["xyzzy"], "`qae --help` lists them"),
        (["--root", "runs", "table"], "write qae COMMAND --root"),
    ],
)
def test_a_mistyped_command_is_named_with_its_fix(arguments: list[str], says: str) -> None:
    from click.testing import CliRunner

    from sweeps.cli import main

    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_status_of_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from sweeps.cli import main

    result = CliRunner().invoke(main, ["status", "--root", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "python sweep.py -m" in result.output
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "default.json").write_text("{}")
    result = CliRunner().invoke(main, ["status", "defualt", "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert "did you mean default?" in result.output
