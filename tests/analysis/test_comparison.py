"""Differences between arms: on common seeds and problems only, wide enough for all of a table."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from scipy import stats

from analysis import comparison
from analysis.commands.results import compare
from analysis.comparison import ENTROPY_PEAK, LENGTH_FINAL, PASS_1, PASS_16
from analysis.runs.frames import ArmName, Runs
from analysis.sources import run_store
from analysis.statistics import bootstrap_interval, holm
from qae import metrics
from qae.pass_at_k import pass_at_k
from tests.analysis.stores import PROBLEMS, SAMPLES, correct, entropy, write_manifest, write_run, write_sweep

MEAN, K4 = ArmName("mean", None, ""), ArmName("K = 0.4", 0.4, "")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Two seeds of three arms, and a third seed of the mean alone."""
    write_sweep(tmp_path)
    write_run(tmp_path, "mean-2", {"seed": 2})
    return run_store.load(tmp_path)


def test_pairs_are_found_by_name(runs: Runs) -> None:
    assert [(str(a), str(b)) for a, b in comparison.against_the_mean(runs)] == [("K = 0.4", "mean")]
    assert [(str(a), str(b)) for a, b in comparison.against_the_plain_variant(runs)] == [
        ("mean, clip_symmetric", "mean")
    ]


def test_a_number_that_a_run_has_once_gets_the_paired_t_interval(runs: Runs) -> None:
    of_first = np.array([max(entropy(step, seed, 0.4) for step in range(1, 7)) for seed in (0, 1)])
    of_second = np.array([max(entropy(step, seed, -1) for step in range(1, 7)) for seed in (0, 1)])
    noise = np.array([0.0, 0.03])
    frame = runs.metrics.copy()
    frame.loc[(frame["run"] == "k4-1") & (frame["name"] == "actor/entropy"), "value"] += noise[1]
    (found,) = comparison.compare(Runs(runs.records, frame, runs.evaluations), [(K4, MEAN)], [ENTROPY_PEAK])
    pairs = of_first + noise - of_second
    expected = stats.ttest_1samp(pairs, 0).confidence_interval(0.95)
    assert found.value == pytest.approx(pairs.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.seeds, found.problems) == (2, 1)
    assert found.confidence == pytest.approx(0.95)


def test_pass_at_k_is_compared_problem_by_problem_on_the_common_seeds(runs: Runs) -> None:
    frame = runs.evaluations.copy()
    better = (frame["run"].str.startswith("k4")) & (frame["step"] == 6)
    frame.loc[better, "c"] = SAMPLES
    (found,) = comparison.compare(Runs(runs.records, runs.metrics, frame), [(K4, MEAN)], [PASS_1])
    counts = np.array([[correct(6, seed, problem) for problem in range(PROBLEMS)] for seed in (0, 1)])
    expected = bootstrap_interval(1 - pass_at_k(np.full(counts.shape, SAMPLES), counts, 1))
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert (found.seeds, found.problems) == (2, PROBLEMS)
    assert found.improvement == 1.0


def test_intervals_widen_with_the_number_of_comparisons(runs: Runs) -> None:
    alone = comparison.compare(runs, [(K4, MEAN)], [LENGTH_FINAL])[0]
    among = comparison.compare(runs, [(K4, MEAN)], [PASS_1, PASS_16, ENTROPY_PEAK, LENGTH_FINAL])
    assert [difference.confidence for difference in among] == pytest.approx([1 - 0.05 / 4] * 4)
    assert alone.confidence == pytest.approx(0.95)
    assert "all 4 hold together" in comparison.caption(among)


def test_one_seed_separates_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", {"algorithm.quantile_k": 0.4})
    found = comparison.compare(run_store.load(tmp_path), [(K4, MEAN)])
    assert len(found) == len(comparison.MEASURES)
    assert not any(difference.is_separated for difference in found)
    assert "[-inf, +inf]" in comparison.frame(found).to_string()
    unseen = [difference for difference in found if difference.problems == 1]
    assert {(difference.improvement_low, difference.improvement_high) for difference in unseen} == {(0.0, 1.0)}


@pytest.mark.slow
def test_a_difference_of_pass_at_k_stays_between_minus_1_and_1(runs: Runs) -> None:
    frame = runs.evaluations.copy()
    frame.loc[frame["run"] == "k4-1", "c"] = SAMPLES
    many = [PASS_1] * 40
    found = comparison.compare(Runs(runs.records, runs.metrics, frame), [(K4, MEAN)], many)[0]
    assert (found.low, found.high) == (-1.0, 1.0)


def test_arms_without_a_common_seed_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"seed": 1})
    write_run(tmp_path, "b", {"seed": 2, "algorithm.quantile_k": 0.4})
    found = comparison.compare(run_store.load(tmp_path), [(K4, MEAN)])
    assert found == []
    assert comparison.frame(found).empty
    assert comparison.caption(found) == "No two arms can be compared."


@pytest.mark.slow
def test_stars_are_holms(runs: Runs) -> None:
    frame = runs.metrics.copy()
    noisy = frame["name"] == "response_length/mean"
    frame.loc[noisy, "value"] += np.random.default_rng(0).normal(0, 3, int(noisy.sum()))
    frame.loc[(frame["run"] == "k4-1") & (frame["name"] == "actor/entropy"), "value"] += 1e-5
    found = comparison.compare(Runs(runs.records, frame, runs.evaluations), [(K4, MEAN)])
    np.testing.assert_allclose([row.p_adjusted for row in found], holm([row.p for row in found]))
    assert [row.is_separated for row in found] == [row.p_adjusted <= 0.05 for row in found]
    stars = comparison.frame(found).iloc[0][[row.measure.label for row in found]].str.endswith("*")
    assert stars.tolist() == [row.is_separated for row in found]
    assert {row.is_separated for row in found} == {True, False}


def test_a_pair_is_compared_at_the_last_step_that_both_have(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, f"long-{seed}", {"seed": seed})
        write_run(tmp_path, f"short-{seed}", {"seed": seed, "algorithm.quantile_k": 0.4}, steps=4, evaluate=(0, 3))
    write_run(tmp_path, "crashed", {"seed": 2, "algorithm.quantile_k": 0.4}, steps=1, evaluate=(0,))
    runs = run_store.load(tmp_path)
    at_1, entropy_peak = comparison.compare(runs, [(K4, MEAN)], [PASS_1, ENTROPY_PEAK])
    right = [[correct(3, seed, problem) / SAMPLES for problem in range(PROBLEMS)] for seed in (0, 1)]
    assert at_1.value == pytest.approx(np.mean(right) - np.mean(right))
    assert (at_1.step, at_1.seeds, at_1.behind) == (3, 2, 1)
    assert entropy_peak.step == 4
    assert entropy_peak.value == pytest.approx(entropy(1, 0, 0.4) - entropy(1, 0, -1))
    earlier = comparison.compare(runs, [(K4, MEAN)], [LENGTH_FINAL], step=2)[0]
    assert (earlier.step, earlier.behind) == (2, 1)


def run_compare(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(compare, [*arguments, "--root", str(root)], env={"COLUMNS": "200"})


@pytest.mark.slow
def test_the_command_gives_the_same_numbers_in_every_form(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    runs = run_store.load(tmp_path)
    found = comparison.compare(runs, comparison.default_pairs(runs))
    rows = json.loads(run_compare(tmp_path, "--json").output)
    assert [(row["first"], row["second"], row["measure"]) for row in rows] == [
        (first, "mean", measure.name)
        for first in ("K = 0.4", "mean, clip_symmetric")
        for measure in comparison.MEASURES
    ]
    assert [row["value"] for row in rows] == pytest.approx([row.value for row in found])
    table = pd.read_csv(io.StringIO(run_compare(tmp_path, "demo", "--csv").output))
    np.testing.assert_allclose(table[["low", "high"]], [(row.low, row.high) for row in found], rtol=1e-9)
    assert table["seeds"].tolist() == [2] * len(found)
    document = run_compare(tmp_path, "--markdown").output.splitlines()
    assert len(document[0].split("|")) == len(document[1].split("|")) == len(document[2].split("|"))
    shown = run_compare(tmp_path).output
    assert "K = 0.4 - mean" in shown
    assert "Holm" in shown


def test_fewer_comparisons_can_be_asked_for(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    rows = json.loads(run_compare(tmp_path, "--json", "--against", "K = 0.4", "--measure", "pass@1").output)
    assert [(row["first"], row["second"]) for row in rows] == [("mean", "K = 0.4"), ("mean, clip_symmetric", "K = 0.4")]
    assert {row["confidence"] for row in rows} == {0.975}


def test_any_pass_at_k_and_the_mean_entropy_can_be_asked_for(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    rows = json.loads(run_compare(tmp_path, "--json", "--measure", "pass@3", "--measure", "mean entropy").output)
    assert rows == json.loads(run_compare(tmp_path, "--json", "--measure", "pass@3, mean entropy").output)
    assert [row["measure"] for row in rows[:2]] == ["pass@3", "mean entropy"]
    runs = run_store.load(tmp_path)
    tables = [comparison.of_pass_at(3).table(runs, arm) for arm in (K4, MEAN)]
    assert rows[0]["value"] == pytest.approx((tables[0] - tables[1]).to_numpy().mean())
    levels = [[np.trapezoid([entropy(s, seed, k) for s in range(1, 7)]) / 5 for seed in (0, 1)] for k in (0.4, -1)]
    assert rows[1]["value"] == pytest.approx(np.mean(levels[0]) - np.mean(levels[1]))


def test_without_counts_pass_at_k_is_what_the_runs_have_logged(runs: Runs) -> None:
    name = metrics.pass_at(1).name
    logged = [
        {"run": run, "step": step, "name": name, "value": value + step / 100}
        for run, value in (("mean-0", 0.5), ("mean-1", 0.6), ("k4-0", 0.6), ("k4-1", 0.8))
        for step in (3, 6)
    ]
    frame = pd.concat([runs.metrics.astype({"run": "str", "name": "str"}), pd.DataFrame(logged)], ignore_index=True)
    records = tuple(record for record in runs.records if record.id != "mean-2")
    without = Runs(records, frame, runs.evaluations.iloc[:0])
    (found,) = comparison.compare(without, [(K4, MEAN)], [PASS_1])
    expected = stats.ttest_rel([0.6, 0.8], [0.5, 0.6])
    assert (found.value, found.p) == pytest.approx((0.15, expected.pvalue))
    assert (found.problems, found.seeds) == (1, 2)
    assert comparison.compare(without, [(K4, MEAN)], [PASS_16]) == []
    assert "pass@7" in comparison.measures_of(without, ["pass@7"])


def test_logged_pass_at_k_is_compared_at_a_step_that_both_arms_have_logged(runs: Runs) -> None:
    name = metrics.pass_at(1).name
    logged = [
        {"run": f"{arm}-{seed}", "step": step, "name": name, "value": step / 10}
        for arm, steps in (("mean", (2, 4, 6)), ("k4", (2, 5)))
        for seed in (0, 1)
        for step in steps
    ]
    frame = pd.concat([runs.metrics.astype({"run": "str", "name": "str"}), pd.DataFrame(logged)], ignore_index=True)
    records = tuple(record for record in runs.records if record.id != "mean-2")
    (found,) = comparison.compare(Runs(records, frame, runs.evaluations.iloc[:0]), [(K4, MEAN)], [PASS_1])
    assert (found.step, found.value) == (2, 0.0)


@pytest.mark.slow
def test_a_folder_of_runs_is_compared_as_a_sweep_is(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    assert run_compare(tmp_path, str(tmp_path), "--csv").output == run_compare(tmp_path, "demo", "--csv").output
    nowhere = run_compare(tmp_path, str(tmp_path / "nowhere"))
    assert nowhere.exit_code == 2
    assert "is no file or directory, no sweep" in nowhere.output


def test_what_cannot_be_compared_is_told_in_a_sentence(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    write_manifest(tmp_path, "alone", [write_run(tmp_path, "alone", {"seed": 9}).run_id])
    for arguments, says in (
        (["--against", "K = 0.5", "demo"], "there is no arm 'K = 0.5' in demo; did you mean K = 0.4?"),
        (["--measure", "peek entropy", "demo"], "there is no measure 'peek entropy'; did you mean peak entropy?"),
        (["--measure", "pass@64", "demo"], f"pass@64 needs 64 samples a problem; these runs have {SAMPLES}"),
        (["alone"], "There is one arm only, mean"),
    ):
        result = run_compare(tmp_path, *arguments)
        assert result.exit_code == 2
        assert says in result.output


def test_what_a_pair_lacks_is_named(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, f"mean-{seed}", {"seed": seed}, evaluate=(0, 3))
        write_run(tmp_path, f"k4-{seed}", {"seed": seed, "algorithm.quantile_k": 0.4}, evaluate=(6,))
    write_run(tmp_path, "k2-9", {"seed": 9, "algorithm.quantile_k": 0.2})
    result = run_compare(tmp_path, str(tmp_path), "--measure", "pass@1", "--measure", "final entropy")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "K = 0.4 - mean: pass@1 left out" in said
    assert "K = 0.2 - mean: left out, for the arms have no seed in common (9 and 0, 1)" in said


def test_an_arm_with_too_few_samples_for_a_pass_at_k_is_named(runs: Runs) -> None:
    frame = runs.evaluations.copy()
    few = frame["run"].str.startswith("k4")
    frame.loc[few, "n"], frame.loc[few, "c"] = 8, 1
    changed = Runs(runs.records, runs.metrics, frame)
    found = comparison.compare(changed, [(K4, MEAN)])
    (sentence,) = comparison.left_out(
        changed, [(K4, MEAN)], comparison.MEASURES, {(K4, MEAN, of.measure.name) for of in found}
    )
    assert "pass@16" in sentence
    assert "K = 0.4" in sentence
    assert "8 samples" in sentence
