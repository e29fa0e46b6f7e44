"""Seeds that would tell arms apart: the number reaches its power, and the command trains exactly the missing ones."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from scipy import stats

from analysis import comparison, statistics
from analysis.comparison import Measure
from analysis.refine import launch
from analysis.refine.commands import refine
from analysis.refine.needs import Need, Question, missing_seeds, needs
from analysis.runs.frames import ArmName, RunRecord, Runs
from analysis.sources import run_store
from analysis.statistics.intervals import FloatArray
from qae import metrics
from qae.run_directory import JsonlWriter, RunState, RunStatus
from sweeps.app import compose_run
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import ManifestRun, RunStore
from tests.analysis.stores import step_line, write_manifest, write_sweep
from tests.support.configs import QUICK

pytestmark = pytest.mark.slow

K4, MEAN = ArmName("K = 0.4", 0.4, ""), ArmName("mean", None, "")


def runs_of(seeds: Mapping[ArmName, tuple[int, ...]]) -> Runs:
    """Runs of ten steps with these seeds."""
    records = [
        RunRecord(f"{arm}-{seed}", arm, seed, RunStatus.DONE, 10, 10, {}) for arm in seeds for seed in seeds[arm]
    ]
    rows = [(record.id, step, metrics.ENTROPY.name, 1.0) for record in records for step in range(1, 11)]
    evaluations = pd.DataFrame(columns=["run", "step", "data_set", "problem", "n", "c", "mean_length"])
    return Runs(tuple(records), pd.DataFrame(rows, columns=["run", "step", "name", "value"]), evaluations)


def scores(seeds: int, problems: int, truth: float, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Two arms that share the difficulty of problems; runs differ by .1, and their answers to a problem by .1."""
    shared = generator.normal(size=problems)
    arms = [
        shared + 0.1 * generator.normal(size=(seeds, 1)) + 0.1 * generator.normal(size=(seeds, problems))
        for _ in range(2)
    ]
    return arms[0] + truth, arms[1]


@pytest.mark.parametrize("problems", [1, 40])
def test_with_the_proposed_seeds_a_true_difference_is_seen_as_often_as_promised(problems: int) -> None:
    pilot, truth = 60, 0.12 if problems > 1 else 0.15
    generator = np.random.default_rng(0)
    tables = dict(zip((K4, MEAN), scores(pilot, problems, truth, generator), strict=True))
    measure = Measure("score", 3, lambda _, arm: pd.DataFrame(tables[arm], index=range(pilot)))
    runs = runs_of(dict.fromkeys((K4, MEAN), tuple(range(pilot))))
    (need,) = needs(runs, [(K4, MEAN)], Question(measure, confidence=0.9, power=0.7, difference=truth))
    assert need.needed is not None
    assert 4 < need.needed < 30
    trials = 400
    seen = sum(_is_seen(need.needed, problems, truth, generator, level=need.level) for _ in range(trials))
    assert 0.6 <= seen / trials <= 0.8


def _is_seen(seeds: int, problems: int, truth: float, generator: np.random.Generator, level: float) -> bool:
    first, second = scores(seeds, problems, truth, generator)
    if problems == 1:
        return bool(stats.ttest_rel(first[:, 0], second[:, 0]).pvalue <= level)
    return statistics.difference(first, second, paired=True, resamples=10).p <= level


def need_of(runs: Runs, needed: int) -> Need:
    measure = Measure("number", 2, lambda of, arm: pd.DataFrame({"v": {r.seed: r.seed * 0.1 for r in of.arms[arm]}}))
    (need,) = needs(runs, [(K4, MEAN)], Question(measure, difference=0.1))
    return replace(need, needed=needed)


def test_holes_are_filled_before_new_seeds_begin() -> None:
    runs = runs_of({K4: (11, 12, 14), MEAN: (11, 13)})
    for needed, lacking in (
        (2, {K4: (), MEAN: (12,)}),
        (4, {K4: (13,), MEAN: (12, 14)}),
        (6, {K4: (13, 15, 16), MEAN: (12, 14, 15, 16)}),
    ):
        assert dict(missing_seeds(need_of(runs, needed), runs)) == lacking


def test_several_pairs_share_the_level(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    runs = run_store.load(tmp_path)
    found = needs(runs, comparison.default_pairs(runs), Question(comparison.ENTROPY_FINAL, confidence=0.9))
    assert [need.level for need in found] == pytest.approx([0.05, 0.05])


def run_refine(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(refine, [*arguments, "--root", str(root)])


def test_what_no_number_of_seeds_tells_apart_gets_no_command(tmp_path: Path) -> None:
    write_sweep(tmp_path)  # K = 0.4 and the mean have the same answers
    same = run_refine(tmp_path, "--between", "K = 0.4", "mean")
    assert same.exit_code == 0, same.output
    assert "no number of seeds separates a difference of 0 on these problems" in same.output
    assert "sweep.py" not in same.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--between", "K = 0.5", "mean"), "there is no arm 'K = 0.5' in sweep 'demo'; did you mean K = 0.4?"),
        (("--between", "mean", "mean"), "give two different arms"),
        (("--metric", "pass@"), "there is no measure 'pass@'; did you mean pass@"),
        (("alone",), "There is one arm only, mean"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    write_manifest(tmp_path, "alone", ["mean-0"])
    write_sweep(tmp_path)
    result = run_refine(tmp_path, *arguments)
    assert result.exit_code == 2
    assert says in result.output


COMMAND = ("sweep.py", "-m", "tracking=none", *QUICK)


def real_sweep(root: Path, of_k: tuple[float, float] = (1.0, 1.1), command: tuple[str, ...] = COMMAND) -> None:
    """Two arms of two seeds under the ids that the command gives them; their entropies are made up."""
    store, launched = RunStore(root), []
    for k in (-1, 0.4):
        for seed in (3, 4):
            overrides = (f"algorithm.quantile_k={k}", f"seed={seed}")
            config = compose_run((*QUICK, *overrides, "tracking=none"))
            directory = store.create(run_id(config), config)
            with JsonlWriter(directory.metrics) as file:
                for step in range(1, 7):
                    entropy = of_k[seed - 3] if k > 0 else 1.0
                    file.append({**step_line(step, seed, k), metrics.ENTROPY.name: entropy})
            directory.write_state(RunState(RunStatus.DONE, step=6, total_steps=6))
            launched.append(ManifestRun(directory.run_id, (*QUICK, *overrides)))
    store.record_sweep("small", command, launched)


def test_arms_that_are_told_apart_need_no_seed_and_ones_that_need_too_many_get_none(tmp_path: Path) -> None:
    real_sweep(tmp_path, of_k=(3.0, 3.01))
    apart = run_refine(tmp_path, "--measure", "final entropy")
    assert apart.exit_code == 0, apart.output
    assert "+2.00" in apart.output
    assert "told apart already" in apart.output
    small = run_refine(tmp_path, "--measure", "final entropy", "--difference", "0.001", "--most", "20")
    assert "nothing sensible separates a difference of 0.001: it takes" in small.output
    assert "sweep.py" not in apart.output + small.output


def test_the_command_is_planned_printed_and_run(tmp_path: Path) -> None:
    real_sweep(tmp_path)
    shown = run_refine(tmp_path, "small", "--measure", "final entropy", "--difference", "0.5", "--launch")
    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("python sweep.py -m ")]
    assert "algorithm.quantile_k=0.4,-1" in line or "algorithm.quantile_k=-1,0.4" in line
    assert line.endswith("seed=5")
    assert {"tracking=none", "sweep.parts=[]", "sweep.name=small"} <= set(line.replace("'", "").split())
    runs = run_store.load(tmp_path)
    assert {arm: [(record.seed, record.status) for record in of][2:] for arm, of in runs.arms.items()} == {
        arm: [(5, RunStatus.DONE)] for arm in (MEAN, K4)
    }
    assert len(RunStore(tmp_path).manifest("small").runs) == 6


def test_a_command_that_gives_other_runs_is_not_proposed(tmp_path: Path) -> None:
    real_sweep(tmp_path, command=("sweep.py", "-m", "tracking=none", "data.reward_noise.flip=0.1"))
    result = run_refine(tmp_path, "small", "--measure", "final entropy", "--difference", "0.5")
    assert result.exit_code == 2
    assert "again (its plan has other runs); launch more seeds with the command that made it" in result.output


def test_arms_that_differ_in_one_key_share_a_command_and_others_do_not(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    runs = run_store.load(tmp_path)
    with pytest.raises(launch.UnknownCommandError, match=r"no sweep of .* has a run of mean"):
        launch.commands(runs, {MEAN: (5,)}, tmp_path / "elsewhere")
    mean, k4, symmetric = (
        next(a for a in runs.arms if str(a) == n) for n in ("mean", "K = 0.4", "mean, clip_symmetric")
    )
    store = RunStore(tmp_path)
    overrides = {"mean": ("algorithm.quantile_k=-1",), "k4": ("algorithm.quantile_k=0.4",)}
    clip = ("algorithm.quantile_k=-1", "regularizer=clip_symmetric")
    known = [ManifestRun(f"{name}-0", (*of, "seed=0")) for name, of in {**overrides, "symmetric": clip}.items()]
    store.record_sweep("demo", ("sweep.py", "-m", "algorithm.quantile_k=-1,0.4", "hydra/launcher=slurm"), known)
    (together,) = launch.commands(runs, {mean: (5, 6), k4: (5, 6), symmetric: ()}, tmp_path)
    assert together.overrides[:2] == ("hydra/launcher=slurm", "algorithm.quantile_k=-1,0.4")
    assert together.known == {"mean-0": 0, "k4-0": 0}
    apart = launch.commands(runs, {k4: (5,), symmetric: (5,)}, tmp_path)
    assert [command.overrides[1:-3] for command in apart] == [overrides["k4"], clip]
