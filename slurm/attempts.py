"""How often a run is tried again, by exit reason. Ends that the run did not cause, such as preemption, are free."""

from collections.abc import Mapping
from types import MappingProxyType

from qae.checks import whole_number_or_null
from qae.errors import ConfigError
from qae.run_directory import RunState
from sweeps.worker.reasons import ExitReason

# Attempts that may end for a reason before the run is given up. None: no limit. 1: trying again is futile.
DEFAULTS: Mapping[ExitReason, int | None] = MappingProxyType(
    {
        ExitReason.CRASH: 3,
        ExitReason.NCCL: 5,
        ExitReason.RAY_START: 3,
        ExitReason.KILLED: 5,
        ExitReason.HOST_MEMORY: 2,
        ExitReason.CUDA_MEMORY: 2,
        ExitReason.SLURM: 5,
        ExitReason.CONFIG: 1,
        ExitReason.DISK_FULL: 1,
        ExitReason.CANCELLED: 1,
        ExitReason.NODE_FAILURE: None,
        ExitReason.TIME_LIMIT: None,
        ExitReason.PREEMPTION: None,
    }
)
_BY_KEY = MappingProxyType({reason.name.lower(): reason for reason in ExitReason})


def limits(settings: object) -> dict[ExitReason, int | None]:
    """The limits of `slurm.attempts`, by reason, over the defaults.

    Args:
        settings: the section: a mapping from reasons in small letters (``crash``, ``node_failure``, …) to counts.

    Raises:
        ConfigError: an unknown reason, or no count.
    """
    found = dict(DEFAULTS)
    if settings is None:
        return found
    if not isinstance(settings, Mapping):
        raise ConfigError("slurm.attempts", settings, "give a mapping from reasons to counts, such as {crash: 3}")
    for key, value in settings.items():
        name = f"slurm.attempts.{key}"
        if key not in _BY_KEY:
            raise ConfigError(name, value, f"the reasons are {', '.join(_BY_KEY)}")
        found[_BY_KEY[key]] = whole_number_or_null(name, value, 1, " for no limit")
    return found


def goes_on(ended: RunState, allowed: Mapping[ExitReason, int | None]) -> bool:
    """Whether a run is tried again after an attempt.

    A crash at the same step as the crash before would come again, so the run is not tried again. The same holds for a
    time limit before the first step. Attempts from before `sweep.retry` do not count.

    Args:
        ended: the state after the attempt, counted, with the `stuck_step` of the attempt before.
        allowed: see `limits`.
    """
    if ended.exit_reason is None:
        return False
    reason = ExitReason(ended.exit_reason)
    if reason in (ExitReason.CRASH, ExitReason.TIME_LIMIT) and ended.stuck_step == ended.step:
        return False
    limit = allowed[reason]
    return limit is None or ended.reasons[reason] - ended.settled.get(reason, 0) < limit


def may_help(left: RunState, allowed: Mapping[ExitReason, int | None]) -> bool:
    """Whether a job queues itself again after an attempt that left its run preempted.

    Args:
        left: the state that the attempt wrote last.
        allowed: see `limits`.
    """
    # An attempt that stuck at a step was judged when it ended.
    judged = left.exit_reason in (ExitReason.CRASH, ExitReason.TIME_LIMIT) and left.stuck_step == left.step
    return judged or goes_on(left, allowed)
