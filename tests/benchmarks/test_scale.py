"""The model of a cluster: it loses no time and no run, and agrees with Young and Daly where they hold."""

from dataclasses import replace
from itertools import pairwise
from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scale import theory
from benchmarks.scale.model.course import Course, Reached
from benchmarks.scale.model.nodes import Use
from benchmarks.scale.model.outcome import Outcome, Stay
from benchmarks.scale.model.simulation import EndlessError, Simulation
from benchmarks.scale.settings import LLAMA_3, Choices, Hazards, Scenario, Site, Work
from qae.run_directory import RunStatus
from slurm.queue.client import Limits
from sweeps.run_store.locking import LEASE_SECONDS
from sweeps.worker.reasons import ExitReason

PLAIN = Work(nodes=1, steps=60, step_seconds=600, checkpoint_seconds=60, start_seconds=120, walltime_seconds=None)
ROOMY = Limits(1001, None)
ROUGH = Hazards("rough", 0.5, 0.2, 2.0, 0.3, 1.0, urgent_jobs=12, urgent_nodes=2, urgent_hours=0.5)

works = st.builds(
    Work,
    nodes=st.integers(1, 3),
    steps=st.integers(1, 20),
    step_seconds=st.sampled_from([10.0, 300.0, 1_000.0]),
    checkpoint_seconds=st.sampled_from([0.0, 5.0, 100.0]),
    start_seconds=st.sampled_from([0.0, 30.0, 300.0]),
    walltime_seconds=st.sampled_from([None, 7_200, 20_000]),
)
scenarios = st.builds(
    Scenario,
    runs=st.integers(1, 12),
    work=works,
    site=st.builds(
        Site,
        nodes=st.integers(3, 12),
        gpus_per_node=st.just(8),
        limits=st.builds(Limits, st.sampled_from([2, 7, 1001]), st.sampled_from([None, 1, 5, 100])),
        notice_seconds=st.sampled_from([0.0, 300.0]),
        grace_seconds=st.sampled_from([0.0, 30.0, 600.0]),
    ),
    hazards=st.sampled_from([Hazards("none"), LLAMA_3, ROUGH, replace(ROUGH, drains=0.0, crashes=1.0)]),
    choices=st.builds(Choices, st.integers(1, 10), st.sampled_from([None, 1, 3])),
)


def simulate(scenario: Scenario, seed: int = 0) -> tuple[Outcome, list[Stay]]:
    stays: list[Stay] = []
    return Simulation(scenario, seed, stays).outcome(), stays


@given(scenarios, st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_every_run_is_done_once_and_no_node_time_is_lost_or_used_twice(scenario: Scenario, seed: int) -> None:
    outcome, stays = simulate(scenario, seed)
    assert [state.status for state in outcome.states] == [RunStatus.DONE] * scenario.runs
    assert [state.step for state in outcome.states] == [scenario.work.steps] * scenario.runs
    work = scenario.work
    assert outcome.spent.useful == scenario.runs * work.nodes * work.steps * work.step_seconds * 1000
    assert min(outcome.spent.checkpoints, outcome.spent.starts, outcome.spent.lost, outcome.spent.hanging) >= 0
    assert outcome.spent.all == outcome.uses[Use.OURS] == sum(stay.end - stay.begin for stay in stays)
    assert sum(outcome.uses) == scenario.site.nodes * round(outcome.hours * 3_600_000)
    assert outcome.attempts == sum(outcome.reasons.values()) == sum(state.attempt for state in outcome.states)
    in_order = sorted(stays, key=lambda stay: (stay.node, stay.begin))
    assert all(before.end <= after.begin for before, after in pairwise(in_order) if before.node == after.node)


@given(scenarios)
@settings(max_examples=6, deadline=None)
def test_a_seed_gives_one_history(scenario: Scenario) -> None:
    assert simulate(scenario, 5) == simulate(scenario, 5)


@given(
    st.integers(0, 11),
    st.integers(1, 9),
    st.integers(0, 40),
    st.integers(1, 30),
    st.integers(0, 25),
    st.integers(0, 800),
)
def test_a_course_is_what_counting_step_by_step_gives(
    first: int, save_freq: int, start: int, step: int, dump: int, elapsed: int
) -> None:
    course = Course(first, 12, save_freq, start, step, dump)
    time, saved, dumping = start, first, 0
    here = Reached(first, first, 0)
    for number in range(first + 1, 13):
        time += step
        if time <= elapsed:
            here = Reached(number, saved, dumping)
        if number % save_freq == 0 or number == 12:
            spent = max(0, min(dump, elapsed - time))
            if time <= elapsed:
                here = Reached(number, saved, dumping + spent, is_dumping=spent < dump)
            time += dump
            dumping += dump
            if time <= elapsed:
                saved = number
                here = Reached(number, saved, dumping)
    assert course.end == time
    assert course.at(elapsed) == here
    if elapsed < time:
        end, stopped = course.stop(elapsed)
        assert elapsed < end <= elapsed + start + step + 2 * dump
        assert stopped.step == stopped.saved == here.step + (not here.is_dumping)


@pytest.mark.parametrize(("hours", "save_freq"), [(4, 1), (4, 6), (4, 20), (20, 3), (20, 60), (200, 7)])
def test_time_to_completion_is_dalys(hours: float, save_freq: int) -> None:
    """Kills at exponential intervals, spare nodes, no time limit; after a kill, a job waits for the old one's lease."""
    hazards = Hazards("kills", node_failures=24 / hours, repair_hours=0.001)
    scenario = Scenario(20, PLAIN, Site(40, 8, ROOMY, notice_seconds=0.0), hazards, Choices(save_freq))
    measured = [simulate(scenario, seed)[0].spent.all / 20 / 1000 for seed in range(8)]
    expected = theory.completion_seconds(PLAIN, save_freq, 3_600 * hours, PLAIN.start_seconds + LEASE_SECONDS)
    error = stdev(measured) / len(measured) ** 0.5
    assert mean(measured) == pytest.approx(expected, abs=4 * error)
    assert error < 0.05 * expected


@pytest.mark.parametrize("hours", [4, 20, 200])
def test_dalys_interval_is_the_best_of_the_closed_form(hours: float) -> None:
    mean_seconds = 3_600.0 * hours
    fine = replace(PLAIN, steps=6_000, step_seconds=6.0)  # so that whole steps do not matter

    def seconds(interval: float) -> float:
        return theory.completion_seconds(fine, theory.in_steps(interval, 6.0), mean_seconds, 120)

    best = seconds(theory.daly(60, mean_seconds))
    assert best <= 1.001 * min(seconds(interval) for interval in range(300, 36_000, 300))
    assert seconds(theory.young(60, mean_seconds)) == pytest.approx(best, rel=0.001)


def test_a_throttle_holds_across_arrays() -> None:
    scenario = Scenario(20, PLAIN, Site(12, 8, Limits(10, None)), Hazards("none"), Choices(10, throttle=6))
    _, stays = simulate(scenario)
    for time in {stay.begin for stay in stays}:
        assert sum(stay.begin <= time < stay.end for stay in stays) <= 6


def test_a_time_limit_costs_no_step_where_the_warning_holds_one_and_a_command_where_not() -> None:
    site = Site(4, 8, ROOMY)
    warned, _ = simulate(Scenario(4, replace(PLAIN, walltime_seconds=14_400), site, Hazards("none"), Choices(7)))
    assert warned.spent.lost == 0
    assert warned.reasons["warned"] > 0
    assert warned.launches == 1
    long = replace(PLAIN, steps=12, step_seconds=60, checkpoint_seconds=2_000, walltime_seconds=7_200)
    killed, _ = simulate(Scenario(4, long, site, Hazards("none"), Choices(1)))
    assert killed.reasons["at_limit"] == 4 * 3
    assert killed.launches == 4
    assert killed.states[0].reasons == {ExitReason.KILLED.value: 3}


def test_a_limit_that_holds_no_step_never_ends() -> None:
    work = replace(PLAIN, start_seconds=1_000, walltime_seconds=900)
    with pytest.raises(EndlessError, match="1 runs are not done"):
        simulate(Scenario(1, work, Site(1, 8, ROOMY), Hazards("none"), Choices(1, relaunch_hours=10_000)))
