"""The result table: what its numbers are and which runs they rest on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import table
from analysis.runs.frames import Runs
from analysis.sources import run_store
from qae import metrics
from qae.run_directory import RunStatus
from tests.analysis.stores import PROBLEMS, SAMPLES, correct, entropy, write_run, write_sweep


def summarise(root: Path) -> table.Results:
    return table.summarise(run_store.load(root))


@pytest.mark.slow
def test_rows_hold_the_definitions(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    mean, quantile, symmetric = summarise(tmp_path).rows
    assert (mean.arm, quantile.arm, symmetric.arm) == ("mean", "K = 0.4", "mean, clip_symmetric")
    assert (quantile.seeds, quantile.runs, quantile.step, quantile.samples) == (2, 2, 6, SAMPLES)
    assert quantile.entropy_final is not None
    assert quantile.entropy_peak is not None
    assert quantile.zero_share is not None
    assert quantile.length is not None
    assert quantile.pass_1 is not None
    final = [entropy(step, seed, 0.4) for step in (2, 3, 4, 5, 6) for seed in (0, 1)]
    assert quantile.entropy_final.value == pytest.approx(np.mean(final))
    assert quantile.entropy_peak.value == pytest.approx(np.mean([entropy(1, seed, 0.4) for seed in (0, 1)]))
    assert quantile.zero_share.value == pytest.approx(0.75)
    assert quantile.length.value == pytest.approx(24.0)
    right = [correct(6, seed, problem) / SAMPLES for seed in (0, 1) for problem in range(PROBLEMS)]
    assert quantile.pass_1.value == pytest.approx(np.mean(right))
    assert quantile.pass_1.problems == PROBLEMS
    assert summarise(tmp_path).notes == ()


@pytest.mark.parametrize(("status", "word"), [(RunStatus.FAILED, "failed"), (RunStatus.PREEMPTED, "interrupted")])
def test_runs_behind_are_named_and_not_in_the_numbers(tmp_path: Path, status: RunStatus, word: str) -> None:
    write_run(tmp_path, "a", {"seed": 0})
    write_run(tmp_path, "b", {"seed": 1}, steps=4, evaluate=(0, 3), status=status)
    results = summarise(tmp_path)
    row = results.rows[0]
    assert (row.seeds, row.runs, row.step) == (1, 2, 6)
    assert row.entropy_peak is not None
    assert row.entropy_peak.value == pytest.approx(entropy(1, 0, -1))
    assert results.notes == (f"mean: 1 of 2 runs not in the numbers (seed 1 {word} at step 4).",)


def test_a_run_without_any_evaluation_has_the_rest(tmp_path: Path) -> None:
    write_run(tmp_path, "a", evaluate=())
    row = summarise(tmp_path).rows[0]
    assert row.pass_1 is None
    assert row.pass_16 is None
    assert row.entropy_final is not None
    assert "no run has any" in table.caption(summarise(tmp_path))


def test_pass_at_k_of_an_earlier_step_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"seed": 0}, evaluate=(0, 3))
    write_run(tmp_path, "b", {"seed": 0, "algorithm.quantile_k": 0.4})
    results = summarise(tmp_path)
    assert [(row.step, row.evaluated) for row in results.rows] == [(6, 3), (6, 6)]
    (note,) = results.notes
    assert "mean (step 3)" in note
    assert "K = 0.4" not in note


def test_without_counts_pass_at_k_is_what_the_runs_have_logged(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, f"mean-{seed}", {"seed": seed}, evaluate=())
    write_run(tmp_path, "k4-0", {"seed": 0, "algorithm.quantile_k": 0.4}, evaluate=())
    runs = run_store.load(tmp_path)
    name = metrics.pass_at(1).name
    values = (("mean-0", 3, 0.2), ("mean-1", 3, 0.4), ("mean-0", 6, 0.9), ("k4-0", 6, 0.7))
    logged = pd.DataFrame([{"run": run, "step": step, "name": name, "value": value} for run, step, value in values])
    frame = pd.concat([runs.metrics.astype({"run": "str", "name": "str"}), logged], ignore_index=True)
    results = table.summarise(Runs(runs.records, frame, runs.evaluations))
    both, single = results.rows
    assert both.pass_1 is not None
    expected = stats.t.interval(0.95, 1, 0.3, 0.1)
    assert both.evaluated == 3
    assert both.pass_1.value == pytest.approx(0.3)
    assert (both.pass_1.low, both.pass_1.high) == pytest.approx((max(expected[0], 0), min(expected[1], 1)))
    assert both.pass_16 is None
    assert single.pass_1 is not None
    assert (single.pass_1.value, np.isnan(single.pass_1.low)) == (0.7, True)
    assert "as logged" in table.caption(results)


def test_an_evaluation_before_the_first_step_is_shown(tmp_path: Path) -> None:
    write_run(tmp_path, "a", steps=0, evaluate=(0,), status=RunStatus.RUNNING)
    row = summarise(tmp_path).rows[0]
    assert row.step == 0
    assert row.entropy_final is None
    assert row.pass_1 is not None


def test_arms_with_nothing_on_disk_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, "a", steps=0, evaluate=(), status=RunStatus.QUEUED)
    results = summarise(tmp_path)
    assert results.rows == ()
    assert results.notes == ("mean: nothing is on disk yet (seed 0 queued at step 0).",)


def test_the_final_evaluation_is_one_that_all_seeds_have(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"seed": 0})
    write_run(tmp_path, "b", {"seed": 1}, evaluate=(0, 3))
    row = summarise(tmp_path).rows[0]
    assert row.seeds == 2
    assert row.pass_1 is not None
    right = [correct(3, seed, problem) / SAMPLES for seed in (0, 1) for problem in range(PROBLEMS)]
    assert row.pass_1.value == pytest.approx(np.mean(right))


@pytest.mark.slow
def test_the_numbers_leave_in_every_form(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    results = summarise(tmp_path)
    frame = table.frame(results)
    assert results.rows[1].pass_16 is not None
    assert frame.loc[1, "pass_16.value"] == results.rows[1].pass_16.value
    lines = table.markdown(results).splitlines()
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert lines[3].startswith("| K = 0.4 | 2 | 6 | 0.77 [0.70, 0.83] | 0.83")
    assert "n = 2 seeds an arm" in table.caption(results)
    assert f"{PROBLEMS} held-out problems with {SAMPLES} samples each" in table.caption(results)


def test_an_arm_with_other_names_than_ours_is_not_said_to_have_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "a", evaluate=())
    runs = run_store.load(tmp_path)
    frame = runs.metrics[runs.metrics["name"] == metrics.ENTROPY.name].astype({"name": "str"}).assign(name="loss")
    results = table.summarise(Runs(runs.records, frame, runs.evaluations))
    assert results.rows == ()
    (note,) = results.notes
    assert "nothing" not in note
    assert "loss" in note
    assert metrics.ENTROPY.name in note


def test_an_arm_that_failed_on_the_way_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"seed": 0})
    write_run(tmp_path, "b", {"seed": 3, "algorithm.quantile_k": 0.4}, steps=4, evaluate=(4,), status=RunStatus.FAILED)
    (note,) = [note for note in summarise(tmp_path).notes if "failed" in note]
    assert note.startswith("K = 0.4: 1 of 1 runs")
    assert "seed 3 at step 4 of 6" in note


def test_a_single_seed_has_no_interval_for_programs_either(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"seed": 0})
    results = summarise(tmp_path)
    frame = table.frame(results)
    assert results.rows[0].entropy_final is not None
    assert results.rows[0].pass_1 is not None
    assert frame.loc[0, "entropy_final.value"] == results.rows[0].entropy_final.value
    assert frame.loc[0, "pass_1.low"] == results.rows[0].pass_1.low
    assert "entropy_final.low" not in frame
