"""Where entropy goes."""

from collections.abc import Callable, Sequence

import pandas as pd
import pytest

from analysis import entropy_course
from analysis.entropy_course import Trend
from analysis.runs.frames import EVALUATION_COLUMNS, METRIC_COLUMNS, ArmName, RunRecord, Runs
from qae import metrics
from qae.run_directory import RunStatus

ARM = ArmName("mean", None, "")
STEPS = range(1, 31)


def runs_of(*entropies: Callable[[int], float], steps: Sequence[int] = STEPS) -> Runs:
    """A run a function of the step."""
    rows = [
        (str(seed), step, metrics.ENTROPY.name, entropy(step))
        for seed, entropy in enumerate(entropies)
        for step in steps
    ]
    records = tuple(
        RunRecord(str(seed), ARM, seed, RunStatus.DONE, len(steps), len(steps), {}) for seed in range(len(entropies))
    )
    metrics_of_runs = pd.DataFrame(rows, columns=list(METRIC_COLUMNS))
    return Runs(records, metrics_of_runs, pd.DataFrame(columns=list(EVALUATION_COLUMNS)))


def trend(*entropies: Callable[[int], float]) -> Trend:
    course = entropy_course.course(runs_of(*entropies), ARM)
    assert course is not None
    return course.trend


def test_entropy_falls_or_rises_where_all_seeds_say_so() -> None:
    assert trend(lambda s: 1 - 0.03 * s, lambda s: 1 - 0.027 * s, lambda s: 0.9 - 0.025 * s) is Trend.FALLS
    assert trend(lambda s: 0.5 + 0.025 * s, lambda s: 0.5 + 0.03 * s, lambda s: 0.4 + 0.025 * s) is Trend.RISES


def test_seeds_that_disagree_and_changes_too_small_are_unclear() -> None:
    assert trend(lambda s: 0.5 + 0.02 * s, lambda s: 0.9 - 0.02 * s) is Trend.UNCLEAR
    assert trend(lambda s: 0.8 - 0.0005 * s, lambda s: 0.8 - 0.0006 * s) is Trend.UNCLEAR


def test_the_numbers_are_what_they_are_said_to_be() -> None:
    course = entropy_course.course(runs_of(lambda s: 2.0 if 11 <= s <= 15 else 1.0 if s < 26 else 0.1), ARM)
    assert course is not None
    assert course.start.value == pytest.approx(1.0)
    assert (course.peak.value, course.peak_step) == (2.0, 11)
    assert course.final.value == pytest.approx(0.1)
    assert course.early.value == pytest.approx(2 / 9)
    assert (course.exploded, course.collapsed) == (1, 1)


def test_a_run_of_few_steps_is_not_judged() -> None:
    few = runs_of(float, steps=range(1, 6))
    assert entropy_course.course(few, ARM) is None
    assert entropy_course.frame(few).empty
