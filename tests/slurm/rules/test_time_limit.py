"""When a job is warned of its time limit, and what a plan says of limits and kills."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm import time_limit
from slurm.request import pace_of, request_of
from slurm.time_limit import Pace
from sweeps.launching.plan import Job, PlannedRun, make_plan
from sweeps.run_store.store import RunStore
from tests.support.configs import embedded_mapping, verl_mapping

HALF_AN_HOUR = Pace(1_800, gpus=32, save_freq=3)
DAY = 86_400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 600),
        ("10:30", 630),
        ("1:00:00", 3_600),
        ("2-0", 2 * DAY),
        ("2-01:30", 2 * DAY + 5_400),
        ("2-00:00:01", 2 * DAY + 1),
        ("0-00:00:00", None),
        ("0", None),
        ("tomorrow", None),
        ("1:2:3:4", None),
        ("-1", None),
    ],
)
def test_limits_are_read_as_sbatch_reads_them(text: str, expected: int | None) -> None:
    assert time_limit.seconds(text) == expected


@given(st.floats(0.1, 10**5), st.integers(120, 10**6))
def test_a_warning_holds_a_step_and_a_checkpoint_or_half_of_the_limit(step: float, limit: int) -> None:
    warning = time_limit.warning_seconds(Pace(step, 8, 1), limit)
    assert time_limit.LEAST_WARNING_SECONDS <= warning <= max(time_limit.LEAST_WARNING_SECONDS, limit // 2)
    assert warning <= 65_535
    if limit // 2 >= step + 3_600 + step:
        assert warning > step or warning == 65_535


def planned(*typed: str) -> PlannedRun:
    store = RunStore(Path("/nowhere"))
    return make_plan([Job((), verl_mapping("sweep.dry_run=true", *typed))], store, name="x", retry=False).runs[0]


def warning_of(run: PlannedRun) -> int:
    return int((request_of(run.config, pace_of(run)).option("signal") or "").rpartition("@")[2])


@pytest.mark.slow
def test_the_warning_of_a_large_model_comes_from_its_step_and_a_given_one_stays() -> None:
    run = planned()
    assert run.step_seconds is not None
    assert run.step_seconds == pytest.approx(run.gpu_hours * 3600 / 300 / 32)  # type: ignore[operator]
    assert run.step_seconds < warning_of(run) < 3 * run.step_seconds
    assert warning_of(planned("slurm.signal_seconds=77")) == 77
    slower = replace(run, step_seconds=3 * run.step_seconds)  # as finished runs of the store have shown
    assert warning_of(slower) > 2 * warning_of(run)


def test_runs_whose_pace_nobody_knows_are_warned_two_minutes_before() -> None:
    assert request_of(embedded_mapping()).option("signal") == "B:USR2@120"
    assert warning_of(planned("resources.parameters=null")) == 120


def said(*typed: str) -> str:
    run = planned(*typed)
    pace = pace_of(run)
    assert pace is not None
    return " ".join(request_of(run.config, pace).cost(pace))


@pytest.mark.slow
def test_the_plan_says_what_a_limit_and_a_kill_cost() -> None:
    usual = said()
    assert "no step is lost" in usual
    assert "3 steps" in usual
    assert "GPU hours" in usual
    assert "resources.walltime" in said("resources.walltime=60")
    assert "slurm.signal_seconds" in said("slurm.signal_seconds=120")
    assert "trainer.save_freq=2 loses less" in said("trainer.save_freq=50")
    assert "repeats all its steps" in said("trainer.save_freq=-1")


def test_the_cost_of_a_kill_is_counted_on_all_gpus() -> None:
    (step, limit, kill) = time_limit.cost(HALF_AN_HOUR, 2 * DAY, 3_300)
    assert "30 min" in step
    assert "holds about 94" in limit
    assert "29 GPU hours" in limit
    assert "1 h 30 min or 48 GPU hours" in kill


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(20, "20 s"), (60, "1 min"), (5_400, "1 h 30 min"), (7_200, "2 h"), (2 * DAY, "2 d"), (DAY + 3_600, "1 d 1 h")],
)
def test_times_are_said_in_two_units(seconds: int, expected: str) -> None:
    assert time_limit.span(seconds) == expected
