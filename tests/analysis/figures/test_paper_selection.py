"""Which runs the paper's figures draw: missing, failed and collapsed ones, and what is never mixed."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.figures import paper
from analysis.figures.missing import MissingDataError
from analysis.figures.paper.selection import FIRST_SEED, SEEDS, Arm, select
from analysis.runs.frames import Runs
from qae.run_directory import NOTHING_TO_LEARN, RunStatus
from tests.analysis.stores import PROBLEMS, SAMPLES, correct, entropy

pytestmark = pytest.mark.slow

FRESH = range(FIRST_SEED, FIRST_SEED + SEEDS)


def at(item: paper.Prepared, panel: str, series: str, x: float) -> float:
    """A value of a figure's table."""
    rows = item.data[(item.data["panel"] == panel) & (item.data["series"] == series) & (item.data["x"] == x)]
    return float(rows["value"].item())


def test_missing_runs_are_named_with_the_command_that_makes_them(paper_runs: Runs) -> None:
    k8 = [record.id for record in paper_runs.records if Arm(0.8).matches(record.config) and record.seed != 101]
    kept = tuple(
        replace(record, status=RunStatus.RUNNING, step=3)
        if record.seed == 101 and Arm(0.6).matches(record.config)
        else record
        for record in paper_runs.records
        if record.id not in k8
    )
    item = paper.prepare("fig9", replace(paper_runs, records=kept))
    assert item.missing == (
        "Missing runs: K = 0.6 (seed 101 running at step 3); "
        "K = 0.8 (seeds 100, 102, 103, 104, 105, 106, 107, 108, 109). "
        "`python sweep.py -m +experiment=fig9` makes them."
    )
    assert item.missing in paper.caption(item, "a test")
    assert len(item.runs.arms[Arm(0.6).name]) == SEEDS - 1
    only_running = tuple(r for r in kept if not Arm(0.6).matches(r.config) or r.seed == 101)
    item = paper.prepare("fig9", replace(paper_runs, records=only_running))
    assert [record.seed for record in item.runs.arms[Arm(0.6).name]] == [101]


def test_failed_runs_are_told_from_missing_ones(paper_runs: Runs) -> None:
    k8 = next(record for record in paper_runs.records if Arm(0.8).matches(record.config) and record.seed == 100)
    kept = tuple(
        replace(record, status=RunStatus.FAILED, step=3, reason="OSError: no space left on device")
        if record.seed == 101 and Arm(0.6).matches(record.config)
        else record
        for record in paper_runs.records
        if record.id != k8.id
    )
    item = paper.prepare("fig9", replace(paper_runs, records=kept))
    assert item.missing == (
        "Missing runs: K = 0.8 (seed 100). `python sweep.py -m +experiment=fig9` makes them. "
        "Failed runs: K = 0.6 (seed 101 at step 3: OSError: no space left on device). "
        "`python sweep.py -m +experiment=fig9 sweep.retry=true` starts them again."
    )
    assert item.ended_early == ""
    assert [record.seed for record in item.runs.arms[Arm(0.6).name]] == [seed for seed in FRESH if seed != 101]


def cut_short(runs: Runs, arm: Arm, seed: int, step: int, status: RunStatus, reason: str) -> Runs:
    """The runs, one of which ended early."""
    run = next(record for record in runs.records if arm.matches(record.config) and record.seed == seed)
    ended = replace(run, status=status, step=step, reason=reason)
    return replace(
        runs,
        records=tuple(ended if record.id == run.id else record for record in runs.records),
        metrics=runs.metrics[(runs.metrics["run"] != run.id) | (runs.metrics["step"] <= step)],
        evaluations=runs.evaluations[(runs.evaluations["run"] != run.id) | (runs.evaluations["step"] <= step)],
    )


@pytest.mark.parametrize(
    ("status", "reason", "how", "meaning"),
    [
        (
            RunStatus.FAILED,
            f"RuntimeError: step 5: none of 9 groups …; {NOTHING_TO_LEARN}",
            "collapsed",
            " Collapsed: no prompt had both right and wrong responses any more.",
        ),
        (RunStatus.STOPPED_BY_GUARD, "entropy above 3", "stopped by guard", ""),
    ],
    ids=["collapsed", "stopped by a guard"],
)
def test_runs_that_ended_early_count_with_what_they_logged_last(
    paper_runs: Runs, status: RunStatus, reason: str, how: str, meaning: str
) -> None:
    k6 = Arm(0.6)
    shorter = cut_short(paper_runs, k6, 101, 4, status, reason)
    item = paper.prepare("k_response", shorter)
    sentence = f"Ended early, counted with what they logged last: K = 0.6 (seed 101 {how} at step 4 of 6).{meaning}"
    assert (item.ended_early, item.missing) == (sentence, "")
    assert sentence in paper.caption(item, "a test")
    last = {seed: 3 if seed == 101 else 6 for seed in FRESH}  # evaluated at steps 0, 3 and 6
    shares = [correct(step, seed, problem) / SAMPLES for seed, step in last.items() for problem in range(PROBLEMS)]
    assert at(item, "Final pass@1", "K-quantile", 0.6) == pytest.approx(np.mean(shares))
    finals = [
        np.mean([entropy(step, seed, 0.6) for step in range(last_step - 4, last_step + 1) if step])
        for seed, last_step in {**dict.fromkeys(FRESH, 6), 101: 4}.items()
    ]
    assert at(item, "Final policy entropy (nats/token)", "K-quantile", 0.6) == pytest.approx(np.mean(finals))
    curve = paper.prepare("fig9", shorter).data
    of_arm = curve[(curve["panel"] == "Policy entropy (nats/token)") & (curve["series"] == "K = 0.6")]
    assert of_arm.set_index("x")["seeds"].to_dict() == {step: SEEDS - (step > 4) for step in range(1, 7)}


def test_an_arm_of_which_all_runs_ended_early_is_drawn(paper_runs: Runs) -> None:
    for seed in FRESH:
        paper_runs = cut_short(paper_runs, Arm(0.8), seed, 3 + seed % 2, RunStatus.FAILED, NOTHING_TO_LEARN)
    shares = [correct(3, seed, problem) / SAMPLES for seed in FRESH for problem in range(PROBLEMS)]
    assert at(paper.prepare("k_response", paper_runs), "Final pass@1", "K-quantile", 0.8) == pytest.approx(
        np.mean(shares)
    )


def test_without_any_run_the_reason_is_a_sentence(paper_runs: Runs) -> None:
    for name in paper.names():
        if paper.needs_of(name).arms:
            with pytest.raises(MissingDataError, match=rf"experiment={paper.needs_of(name).experiment}` makes them"):
                paper.prepare(name, replace(paper_runs, records=()))


def test_a_model_on_gpus_lacks_what_another_arm_has_and_the_command_names_it(paper_runs: Runs) -> None:
    of_8b = [
        replace(record, config={**record.config, "labels.model": "qwen3-8b-base"})
        for record in paper_runs.records
        if record.seed in (100, 101)
    ]
    assert paper.prepare("fig1", replace(paper_runs, records=tuple(of_8b))).missing == ""
    fewer = tuple(record for record in of_8b if record.seed == 100 or not Arm(0.4).matches(record.config))
    assert paper.prepare("fig1", replace(paper_runs, records=fewer)).missing == (
        "Missing runs: K = 0.4 (seed 101). `python sweep.py -m +experiment=fig1 model=qwen3-8b-base seed=100,101` "
        "makes them."
    )


def test_runs_that_differ_in_anything_else_are_not_mixed_in(paper_runs: Runs) -> None:
    mean = next(record for record in paper_runs.records if Arm().matches(record.config) and record.seed == 100)
    faster = {**mean.config, "actor_rollout_ref.actor.optim.lr": 1e-3}
    others = tuple(replace(mean, id=f"other-{seed}", seed=seed, config=faster) for seed in range(9))
    chosen = select(replace(paper_runs, records=(*others, *paper_runs.records)), paper.needs_of("fig1")).runs
    assert {record.config["actor_rollout_ref.actor.optim.lr"] for record in chosen.records} == {0.1}
    larger = select(paper_runs, paper.needs_of("fig11")).runs
    assert {record.labels["model"] for record in larger.records} == {"tabular-larger"}


def test_of_two_definitions_of_the_quantile_the_papers_is_drawn(paper_runs: Runs) -> None:
    linear = tuple(
        replace(record, id=f"linear-{record.id}", config={**record.config, "algorithm.quantile_definition": "linear"})
        for record in paper_runs.records
        if Arm(0.4).matches(record.config)
    )
    chosen = select(replace(paper_runs, records=(*linear, *paper_runs.records)), paper.needs_of("fig7")).runs
    assert not [record for record in chosen.records if record.id.startswith("linear")]
    chosen = select(replace(paper_runs, records=linear), paper.needs_of("fig7")).runs
    assert len(chosen.records) == SEEDS
