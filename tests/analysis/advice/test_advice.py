"""What the first steps of the mean show, what pushes entropy, and trained baselines against the mean."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis.advice import advise as advising
from analysis.advice import evidence
from analysis.advice.commands import advise
from analysis.advice.evidence import TooFewStepsError
from analysis.runs.frames import ArmName
from analysis.sources import run_store
from qae import metrics
from qae.run_directory import JsonlWriter
from tests.analysis.stores import PROBLEMS, SAMPLES, evaluation_line, step_line, write_manifest, write_run

MEAN = ArmName("mean", None, "")
STEPS = 12


def write(
    root: Path,
    run_id: str,
    k: float,
    seed: int,
    entropy: Callable[[int], float] = lambda step: 0.8 - 0.02 * step,
    right: int = 8,
    more: Mapping[str, float] | None = None,
) -> None:
    """A run of twelve steps with K; `right` of its 32 samples of each problem are right in the end."""
    directory = write_run(root, run_id, {"seed": seed, "algorithm.quantile_k": k}, steps=0, evaluate=())
    shares = {metrics.HARD_GROUP_FRACTION.name: 0.7, metrics.GENERATED_KEPT.name: 0.8, **(more or {})}
    with JsonlWriter(directory.metrics) as file:
        for step in range(1, STEPS + 1):
            line = {**step_line(step, seed, k), metrics.POSITIVE_FRACTION.name: 0.35, **shares}
            file.append({**line, metrics.ENTROPY.name: entropy(step) + 0.01 * seed})
    with JsonlWriter(directory.evaluation) as file:
        for problem in range(PROBLEMS):
            file.append({**evaluation_line(STEPS, seed, problem), "c": min(SAMPLES, right + problem % 2 + seed)})


def run_advise(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(advise, [*arguments, "--root", str(root)], env={"COLUMNS": "160"})


@pytest.mark.parametrize(
    ("advantage", "says"),
    [(-0.07, "entropy is pushed up"), (0.3, "entropy is pushed down")],
)
def test_what_pushes_entropy_is_told_by_the_net_advantage(tmp_path: Path, advantage: float, says: str) -> None:
    for seed in (0, 1, 2):
        more = {metrics.ADVANTAGE_TOKEN_MEAN.name: advantage + 0.001 * seed, metrics.CLIP_DRIFT.name: 0.002}
        lengths = {metrics.LENGTH_RIGHT.name: 12.0, metrics.LENGTH_WRONG.name: 15.0}
        write(tmp_path, f"mean-{seed}", -1, seed, more={**more, **lengths})
    advice = advising.advise(run_store.load(tmp_path), MEAN)
    seen = advice.evidence
    assert seen.advantage_token_mean is not None
    assert seen.advantage_token_mean.value == pytest.approx(advantage + 0.001)
    assert seen.failure_length is not None
    assert seen.failure_length.value == pytest.approx(0.25)
    assert seen.clip_drift is not None
    shown = "\n".join(advising.lines(advice))
    assert says in shown
    assert "+25%" in shown
    assert any("nothing is compared" in caution for caution in advice.cautions)


def test_the_numbers_are_of_the_first_steps_and_of_the_runs_that_have_them(tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path, f"mean-{seed}", -1, seed, lambda step: 0.8 - 0.02 * step if step <= 10 else 9.0)
    write_run(tmp_path, "young", {"seed": 2}, steps=4, evaluate=())
    seen = evidence.gather(run_store.load(tmp_path), MEAN, steps=10)
    assert (seen.seeds, seen.behind, seen.steps) == ((0, 1), 1, 10)
    assert seen.start.value == pytest.approx(0.76 + 0.005)
    assert seen.level.value == pytest.approx(0.62 + 0.005)
    assert seen.slope.value == pytest.approx(-0.2)
    assert seen.sign_gap is not None
    assert seen.sign_gap.value == pytest.approx(0.03)
    assert len(seen.rates) == 2
    assert seen.rates[0].hard_share(0.5) == pytest.approx(0.7)
    assert seen.rates[0].share_S @ seen.rates[0].rates == pytest.approx(0.35)


@pytest.mark.slow
def test_trained_baselines_are_compared_with_the_mean(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write(tmp_path, f"mean-{seed}", -1, seed)
        for k, right in ((0.2, 26), (0.4, 9), (0.8, 2)):
            write(tmp_path, f"k{k}-{seed}", k, seed, right=right + (seed % 2 if k == 0.2 else 0))
    advice = advising.advise(run_store.load(tmp_path), MEAN)
    best = advice.results.best
    assert best is not None
    assert str(best.arm) == "K = 0.2"
    differences = {str(of.first): of for of in advice.results.differences}
    assert set(differences) == {"K = 0.2", "K = 0.4", "K = 0.8"}
    assert differences["K = 0.2"].is_separated
    assert differences["K = 0.8"].value < 0
    of_k = {of.k: of for of in advice.forecasts}
    assert sorted(of_k) == [0.2, 0.4, 0.5, 0.6, 0.8]
    assert of_k[0.2].value is not None
    assert of_k[0.2].value.value == pytest.approx((26 + 1 / 3 + 0.5 + 1) / SAMPLES)
    assert of_k[0.4].measured_zero is not None
    assert of_k[0.4].measured_zero.value == pytest.approx(0.75)
    assert of_k[0.6].measured_zero is None


def test_a_difference_that_is_not_told_apart_is_said_to_be_so(tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path, f"mean-{seed}", -1, seed, right=10)
        write(tmp_path, f"k2-{seed}", 0.2, seed, right=20 - 9 * seed)
    advice = advising.advise(run_store.load(tmp_path), MEAN)
    assert any("qae refine" in caution for caution in advice.cautions)
    assert any("not told apart" in line for line in advising.lines(advice))


def test_what_is_wrong_with_the_evidence_is_said(tmp_path: Path) -> None:
    write(tmp_path, "mean-0", -1, 0, more={metrics.MULTI_VALUED_GROUP_FRACTION.name: 0.4})
    cautions = " ".join(advising.advise(run_store.load(tmp_path), MEAN).cautions)
    for said in ("one seed", "40% of groups have more than two scores"):
        assert said in cautions


@pytest.mark.slow
def test_the_command_shows_all_and_says_what_it_rests_on(tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path, f"mean-{seed}", -1, seed)
        write(tmp_path, f"k4-{seed}", 0.4, seed)
    write_manifest(tmp_path, "means", ["mean-0", "mean-1"])
    write_manifest(tmp_path, "ks", ["k4-0", "k4-1"])
    shown = run_advise(tmp_path, "means", "ks", "--steps", "10")
    assert shown.exit_code == 0, shown.output
    for said in ("first 10 steps of 2 seeds (0, 1)", "against the mean: K = 0.4", "0.75 [0.75, 0.75] (2)", "slope"):
        assert said in shown.output
    (record,) = json.loads(run_advise(tmp_path, "means", "ks", "--json").output)
    assert (record["baseline"], record["steps"], record["seeds"]) == ("mean", STEPS, [0, 1])
    assert [of["arm"] for of in record["measured"]] == ["mean", "K = 0.4"]
    assert [of["first"] for of in record["differences"]] == ["K = 0.4"]
    assert [of["k"] for of in record["forecasts"]] == [0.2, 0.4, 0.5, 0.6, 0.8]
    assert record["forecasts"][1]["measured_zero_share"]["seeds"] == 2


def test_without_the_shares_entropy_alone_is_shown(tmp_path: Path) -> None:
    write_run(tmp_path, "mean-0", {"seed": 0}, steps=STEPS, evaluate=())
    write_manifest(tmp_path, "demo", ["mean-0"])
    shown = run_advise(tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "zero advantages are not predicted" in shown.output


def test_what_cannot_be_advised_on_is_told_in_a_sentence(tmp_path: Path) -> None:
    write(tmp_path, "k4-0", 0.4, 0)
    write_run(tmp_path, "young", {"seed": 0}, steps=5, evaluate=())
    write(tmp_path, "mean-0", -1, 0)
    for name in ("k4-0", "young", "mean-0"):
        write_manifest(tmp_path, name, [name])
    for arguments, says in (
        (["k4-0"], "no run of sweep 'k4-0' has the mean as its baseline"),
        (["young"], "mean has 5 steps on disk and 6 are needed; let it train on"),
        (["mean-0", "--steps", "40"], "mean has 12 steps on disk and 40 are needed; give --steps 12"),
        (["mean-0", "--steps", "3"], "3 steps show no course of entropy: give --steps 6 or more"),
        (["nowhere"], "there is no sweep 'nowhere'"),
    ):
        result = run_advise(tmp_path, *arguments)
        assert result.exit_code == 2
        assert says in result.output
        assert result.output.count("\n") == 1
    with pytest.raises(TooFewStepsError, match="let it train on"):
        evidence.gather(run_store.load(tmp_path, ["young"]), MEAN)
