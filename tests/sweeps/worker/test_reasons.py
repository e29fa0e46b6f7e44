"""Why attempts ended, told from exceptions and from what verl, Ray, CUDA and Slurm print."""

import errno

import pytest

from qae.errors import ConfigError
from sweeps.trainers import TrainerKilledError
from sweeps.worker import reasons
from sweeps.worker.reasons import ExitReason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", ExitReason.CUDA_MEMORY),
        ("ValueError: No available memory for the cache blocks. Try increasing", ExitReason.CUDA_MEMORY),
        (
            "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory",
            ExitReason.HOST_MEMORY,
        ),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch", ExitReason.HOST_MEMORY),
        ("[Rank 3] Watchdog caught collective operation timeout: WorkNCCL", ExitReason.NCCL),
        ("torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2027", ExitReason.NCCL),
        ("OSError: [Errno 28] No space left on device", ExitReason.DISK_FULL),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***", ExitReason.TIME_LIMIT),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO PREEMPTION ***", ExitReason.PREEMPTION),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO NODE FAILURE ***", ExitReason.NODE_FAILURE),
        ("omegaconf.errors.ConfigAttributeError: Key 'x' is not in struct", ExitReason.CONFIG),
        (
            "Exception: The current node timed out during startup. This could happen because some of the raylet failed",
            ExitReason.RAY_START,
        ),
        ("srun: error: Unable to create step for job 7", ExitReason.SLURM),
        ("KeyError: 'rewards'", ExitReason.CRASH),
    ],
)
def test_what_programs_print_names_a_reason(text: str, reason: ExitReason) -> None:
    assert reasons.of_text(f"INFO starting\n{text}\nTraceback\n") is reason


def test_the_cause_counts_not_what_it_brings_with_it() -> None:
    log = "NCCL error: remote process exited\ntorch.OutOfMemoryError: CUDA out of memory\n"
    assert reasons.of_text(log) is ExitReason.CUDA_MEMORY


def test_exceptions_are_told_by_their_kind_and_by_what_they_came_from() -> None:
    assert reasons.of_exception(ConfigError("a.b", 1, "give 2")) is ExitReason.CONFIG
    assert reasons.of_exception(MemoryError()) is ExitReason.HOST_MEMORY
    assert reasons.of_exception(OSError(errno.EDQUOT, "Disk quota exceeded")) is ExitReason.DISK_FULL
    outer = RuntimeError("the checkpoint was not written")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert reasons.of_exception(outer) is ExitReason.DISK_FULL
    assert reasons.of_exception(ValueError("nothing known")) is ExitReason.CRASH


def test_a_killed_trainer_is_killed_unless_its_log_says_by_what() -> None:
    error = TrainerKilledError("verl's trainer was killed by SIGKILL after step 3")
    assert reasons.of_exception(error) is ExitReason.KILLED
    assert reasons.of_exception(error, "Out of memory: Killed process 12 (python)") is ExitReason.HOST_MEMORY
