"""How often a run is tried again."""

import pytest

from qae.errors import ConfigError
from qae.run_directory import RunState, RunStatus
from slurm import attempts
from slurm.node.own_job import OwnJob
from sweeps.worker.reasons import ExitReason


def ended(reason: ExitReason, count: int, *, step: int = 7, stuck: int | None = None, settled: int = 0) -> RunState:
    return RunState(
        RunStatus.FAILED,
        step=step,
        exit_reason=reason.value,
        reasons={reason.value: count},
        settled={reason.value: settled},
        stuck_step=stuck,
    )


def test_what_is_not_the_runs_fault_costs_nothing() -> None:
    allowed = attempts.limits(None)
    for reason in (ExitReason.PREEMPTION, ExitReason.TIME_LIMIT, ExitReason.NODE_FAILURE):
        assert attempts.goes_on(ended(reason, 1000), allowed)


def test_crashes_are_limited_and_the_same_step_twice_is_the_end() -> None:
    allowed = attempts.limits({"crash": 4})
    assert attempts.goes_on(ended(ExitReason.CRASH, 3, stuck=6), allowed)
    assert not attempts.goes_on(ended(ExitReason.CRASH, 4, stuck=6), allowed)
    assert not attempts.goes_on(ended(ExitReason.CRASH, 2, stuck=7), allowed)
    assert not attempts.goes_on(ended(ExitReason.TIME_LIMIT, 2, stuck=7), allowed)
    assert attempts.goes_on(ended(ExitReason.NCCL, 2, stuck=7), allowed)  # a network may fail twice at one step


def test_a_job_queues_itself_again_where_its_attempt_was_judged_to_go_on() -> None:
    allowed = attempts.limits(None)
    judged = ended(ExitReason.CRASH, 1, stuck=7)  # the attempt itself has written where it stuck
    assert not attempts.goes_on(judged, allowed)
    assert attempts.may_help(judged, allowed)
    assert attempts.may_help(ended(ExitReason.PREEMPTION, 100), allowed)
    assert not attempts.may_help(ended(ExitReason.DISK_FULL, 1), allowed)


def test_a_retry_counts_anew() -> None:
    allowed = attempts.limits(None)
    assert not attempts.goes_on(ended(ExitReason.CRASH, 3), allowed)
    assert attempts.goes_on(ended(ExitReason.CRASH, 4, settled=3), allowed)


def test_what_trying_again_cannot_help_ends_at_once() -> None:
    allowed = attempts.limits(None)
    for reason in (ExitReason.CONFIG, ExitReason.DISK_FULL, ExitReason.CANCELLED):
        assert not attempts.goes_on(ended(reason, 1), allowed)


def test_every_reason_has_a_limit() -> None:
    assert set(attempts.limits(None)) == set(ExitReason)
    assert attempts.limits({"crash": None, "node_failure": 2})[ExitReason.NODE_FAILURE] == 2


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"crush": 3}, r"slurm\.attempts\.crush=3.*the reasons are host_memory, cuda_memory"),
        ({"crash": 0}, r"slurm\.attempts\.crash=0.*at least 1, or null"),
        ({"nccl": True}, r"slurm\.attempts\.nccl=True"),
        (3, r"slurm\.attempts=3.*a mapping"),
    ],
)
def test_wrong_limits_are_named(settings: object, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        attempts.limits(settings)


def test_a_job_knows_itself_from_slurms_variables() -> None:
    element = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "SLURMD_NODENAME": "n2"}
    assert OwnJob.from_environment(element) == OwnJob("7_3", "n2", 0)
    assert OwnJob.from_environment({"SLURM_JOB_ID": "9", "SLURM_RESTART_COUNT": "2"}) == OwnJob("9", None, 2)
    assert OwnJob.from_environment({}) is None


def test_without_an_answer_from_slurm_the_run_is_left_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    job = OwnJob("7_3", "n2", 0)
    assert job.why_stopped(warned=False) is ExitReason.PREEMPTION
    assert job.why_stopped(warned=True) is ExitReason.TIME_LIMIT
    assert job.requeue() == "scontrol does not answer"
