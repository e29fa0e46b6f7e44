"""Slurm's states: every one that it knows is classified, and what it may add is never taken for an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm.queue.states import JobState, Phase


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("RUNNING", JobState.RUNNING),
        ("CANCELLED by 1000", JobState.CANCELLED),
        ("CANCELLED+", JobState.CANCELLED),
        (" OUT_OF_MEMORY ", JobState.OUT_OF_MEMORY),
        ("NODE_FAIL", JobState.NODE_FAIL),
    ],
)
def test_a_state_is_read_as_slurm_prints_it(text: str, state: JobState) -> None:
    assert JobState.parse(text) is state


@pytest.mark.slow
@given(st.text())
def test_a_state_that_nobody_knows_is_not_over(text: str) -> None:
    state = JobState.parse(text)
    assert state.name == text.strip().partition(" ")[0].rstrip("+").upper() or not state.is_over


@pytest.mark.parametrize(
    "name", ["PENDING", "CONFIGURING", "SUSPENDED", "COMPLETING", "REQUEUED", "STOPPED", "REQUEUE_HOLD"]
)
def test_what_others_took_for_dead_is_alive(name: str) -> None:
    assert not JobState.parse(name).is_over


def test_each_phase_is_used() -> None:
    assert {state.phase for state in JobState} == set(Phase)
