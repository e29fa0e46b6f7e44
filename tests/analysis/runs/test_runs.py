"""Runs: what is made of an arm's numbers is made once, and is never that of other runs or other numbers."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from analysis.figures import curves
from analysis.figures.paper.parts import tidy
from analysis.runs.frames import ArmName, Runs
from analysis.sources import run_store
from qae import metrics
from tests.analysis.stores import write_sweep

OTHER = ArmName("another name", None, "")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three arms and two seeds."""
    folder = tmp_path_factory.mktemp("store")
    write_sweep(folder)
    return folder


def numbers(runs: Runs, arm: ArmName) -> list[pd.DataFrame]:
    return [
        runs.series(arm, metrics.ENTROPY.name),
        runs.counts(arm).reset_index(drop=True),
        curves.metric_curve(runs, arm, metrics.ENTROPY),
        curves.pass_at_k_curve(runs, arm, 4),
        tidy.final_evaluation(runs, arm).reset_index(drop=True),
        pd.DataFrame([tidy.pooled_pass_at(runs, arm, 1)]),
    ]


@pytest.mark.slow
def test_whatever_was_asked_before_the_numbers_are_those_of_the_arms_own_runs(store: Path) -> None:
    asked, fresh = run_store.load(store), run_store.load(store)
    for arm in asked.arms:
        numbers(asked, arm)
    for chosen in (group for size in (1, 2) for group in combinations(asked.records, size)):
        renamed = [replace(record, arm=OTHER) for record in chosen]
        alone = Runs(
            tuple(renamed),
            fresh.metrics[fresh.metrics["run"].isin([record.id for record in chosen])],
            fresh.evaluations[fresh.evaluations["run"].isin([record.id for record in chosen])],
        )
        for found, expected in zip(numbers(asked.only(renamed), OTHER), numbers(alone, OTHER), strict=True):
            pd.testing.assert_frame_equal(found, expected)


def test_other_numbers_of_the_same_runs_are_made_anew(store: Path) -> None:
    runs = run_store.load(store)
    arm = next(iter(runs.arms))
    before = numbers(runs, arm)
    changed = replace(runs, metrics=runs.metrics.assign(value=runs.metrics["value"] + 1))
    assert changed.series(arm, metrics.ENTROPY.name).equals(before[0] + 1)
    cut = replace(runs, evaluations=runs.evaluations[runs.evaluations["step"] == 0])
    assert set(cut.counts(arm)["step"]) == {0}


def test_it_is_made_once(store: Path) -> None:
    runs = run_store.load(store)
    arm = next(iter(runs.arms))
    made: list[int] = []
    for asked in (runs, runs.only(runs.arms[arm]), runs.only(runs.records)):
        asked.remembered("test", arm, lambda: made.append(1))
    assert made == [1]
