"""Why an attempt ended: a closed set of reasons, told from exceptions and from the words of verl, Ray and Slurm."""

import errno
import re
from collections.abc import Iterator
from enum import StrEnum

from qae.errors import ConfigError
from sweeps.trainers import TrainerKilledError


class ExitReason(StrEnum):
    """What ended an attempt before its run was complete; the values stand in state.json."""

    HOST_MEMORY = "out of host memory"
    CUDA_MEMORY = "out of CUDA memory"
    NCCL = "NCCL"
    RAY_START = "Ray did not start"
    DISK_FULL = "disk full"
    CONFIG = "configuration"
    NODE_FAILURE = "node failure"
    TIME_LIMIT = "time limit"
    PREEMPTION = "preemption"
    CANCELLED = "cancelled"
    KILLED = "killed"  # by a signal that nobody here sent, for no reason that shows
    SLURM = "Slurm"
    CRASH = "crash"  # any other exception


# The first pattern that is found decides: what brings others with it stands before them. A rank out of memory lets the
# collectives of all others fail, a full disk lets whatever writes next fail.
_PATTERNS: tuple[tuple[ExitReason, re.Pattern[str]], ...] = (
    (
        ExitReason.DISK_FULL,
        re.compile(
            r"No space left on device|Disk quota exceeded|\[Errno 28\]|\[Errno 122\]|OutOfDiskError"
            r"|PytorchStreamWriter failed writing file|Local disk is full",
        ),
    ),
    (
        ExitReason.CUDA_MEMORY,
        re.compile(
            r"CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError|HIP out of memory|CUDA_ERROR_OUT_OF_MEMORY"
            r"|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
            r"|No available memory for the cache blocks|Free memory on device .* is less than desired GPU memory",
        ),
    ),
    (
        ExitReason.HOST_MEMORY,
        re.compile(
            r"ray\.exceptions\.OutOfMemoryError|killed due to the node running low on memory|Cannot allocate memory"
            r"|^\s*(?:\w+\.)*MemoryError\b|DefaultCPUAllocator: (?:can't|not enough memory)"
            r"|[Oo]ut of memory: Killed process"
            r"|Detected \d+ oom[-_]kill event|Some of the step tasks have been OOM Killed|oom-kill event"
            r"|OutOfMemoryError: Task was killed",
            re.MULTILINE,
        ),
    ),
    # ray/_private/node.py gives a node 30 seconds, which a loaded machine may need more of.
    (ExitReason.RAY_START, re.compile(r"The current node timed out during startup")),
    (
        ExitReason.NODE_FAILURE,
        re.compile(
            r"DUE TO NODE FAILURE|The node was unexpectedly terminated|ray\.exceptions\.NodeDiedError"
            r"|CUDA error: (?:uncorrectable ECC error|unspecified launch failure|the launch timed out)"
            r"|Unable to determine the device handle for GPU|GPU has fallen off the bus|NodeDiedError"
            r"|The node with node id .* has been marked dead|No CUDA GPUs are available",
        ),
    ),
    (
        ExitReason.NCCL,
        re.compile(
            r"NCCL [Ee]rror|nccl(?:System|Remote|Internal|UnhandledCuda)Error|DistBackendError"
            r"|Watchdog caught collective operation timeout|NCCL watchdog thread terminated"
            r"|NCCL communicator was aborted"
            r"|ProcessGroupNCCL.*(?:[Tt]imeout|abort)",
        ),
    ),
    (ExitReason.TIME_LIMIT, re.compile(r"DUE TO TIME LIMIT")),
    (ExitReason.PREEMPTION, re.compile(r"DUE TO PREEMPTION|DUE to SIGNAL Terminated.*preempt")),
    (
        ExitReason.SLURM,
        re.compile(
            r"slurmstepd: error|srun: error|Socket timed out on send/recv operation"
            r"|Unable to contact slurm controller|Slurm job queue full|Slurm temporarily unable to accept",
        ),
    ),
    (
        ExitReason.CONFIG,
        re.compile(
            r"^\s*(?:hydra|omegaconf)\.errors\.\w+|ConfigAttributeError|ConfigKeyError|MissingMandatoryValue"
            r"|Could not override '|Error merging override|Key '.*' is not in struct|InstantiationException"
            r"|is not a local folder and is not a valid model identifier",
            re.MULTILINE,
        ),
    ),
)


def of_text(text: str) -> ExitReason:
    """The exit reason in a program's last output; a crash if the output names none."""
    return next((reason for reason, pattern in _PATTERNS if pattern.search(text)), ExitReason.CRASH)


def of_exception(error: BaseException, log: str = "") -> ExitReason:
    """The exit reason of an attempt that raised this exception.

    Args:
        error: what the trainer raised.
        log: the end of the trainer's output, where it trains in processes of its own (verl).
    """
    for cause in _chain(error):
        match cause:
            case ConfigError():
                return ExitReason.CONFIG
            case MemoryError():
                return ExitReason.HOST_MEMORY
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                return ExitReason.DISK_FULL
            case OSError(errno=errno.ENOMEM):
                return ExitReason.HOST_MEMORY
        if (reason := of_text(f"{_full_name(cause)}: {cause}")) is not ExitReason.CRASH:
            return reason
    reason = of_text(log)
    return ExitReason.KILLED if isinstance(error, TrainerKilledError) and reason is ExitReason.CRASH else reason


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _full_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from, from the outside in."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
