"""When a launcher looks at runs and at the queue, and when it submits again."""

from hypothesis import given
from hypothesis import strategies as st

from slurm.follow import _is_worth_a_round
from slurm.queue.client import Limits, QueuedJob
from slurm.queue.pacing import Looks, is_worth_a_round, rest_seconds
from slurm.queue.states import JobState


@given(st.integers(1, 10**6), st.lists(st.booleans(), max_size=50))
def test_looks_come_soon_after_a_change_and_ever_more_rarely(runs: int, changes: list[bool]) -> None:
    now = 1_000.0
    looks = Looks.begun(now, runs)
    for has_changed in changes:
        looks = looks.after_change(now) if has_changed else looks
        assert now <= looks.next <= now + 30
        assert not has_changed or looks.next <= now + looks.first
        now = looks.next
        before = looks.pause
        looks = looks.after_look(now)
        assert looks.next == now + looks.pause
        assert before <= looks.pause <= 30


def test_a_few_runs_are_looked_at_within_seconds_and_many_at_most_twice_a_minute() -> None:
    assert Looks.begun(0, 35).after_change(0).next == 2
    assert Looks.begun(0, 500).after_change(0).next == 10
    assert Looks.begun(0, 10**5).after_change(0).next == 30
    assert rest_seconds(10) == 0.25
    assert rest_seconds(10**5) == 200


@given(st.integers(1, 10_000), st.integers(0, 12_000), st.floats(60, 3_599))
def test_a_round_waits_for_a_tenth_of_the_limit_or_for_jobs_to_run_out(submit: int, queued: int, since: float) -> None:
    free = submit - queued
    assert is_worth_a_round(submit, queued, 1, since) == (free > 0 and free >= submit // 10)
    assert is_worth_a_round(submit, queued, 0, since) == (free > 0)
    assert not is_worth_a_round(submit, queued, 1, 59)
    assert is_worth_a_round(submit, queued, 0, 0) == (free > 0)


def test_a_round_comes_within_the_hour_and_where_nobody_says_the_limit_within_a_minute() -> None:
    assert not is_worth_a_round(10, 10, 3, 3_599)
    assert is_worth_a_round(10, 10, 3, 3_600)
    assert not is_worth_a_round(None, 10, 3, 59)
    assert is_worth_a_round(None, 10, 3, 60)


def test_jobs_of_other_accounts_take_no_room() -> None:
    jobs = [
        QueuedJob("7", index, JobState.RUNNING if index else JobState.PENDING, "", "", account, "qae-x")
        for account in ("ours", "theirs")
        for index in range(5)
    ]
    assert not _is_worth_a_round([Limits(1001, 10)], jobs, 100)
    assert _is_worth_a_round([Limits(1001, 10, "ours")], jobs, 100)
    assert not _is_worth_a_round([Limits(1001, 5, "ours")], jobs, 100)
    assert _is_worth_a_round([Limits(1001, 5, "ours"), Limits(1001, 6, "theirs")], jobs, 100)
    assert not _is_worth_a_round([], jobs, 10_000)
