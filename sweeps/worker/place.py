"""Where a scheduler put an attempt, and what it does when one ends early."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

from qae.run_directory import RunDirectory, RunState
from sweeps import trainers
from sweeps.worker.reasons import ExitReason

_RAY_STARTS = 3

Machines: TypeAlias = Callable[
    [Mapping[str, object], RunDirectory, Callable[[], bool]], AbstractContextManager[trainers.Lost | None]
]


def ray_may_start(ended: RunState) -> bool:
    """Whether an attempt ended because Ray did not start, and not for the third time (since the last retry)."""
    reason = ExitReason.RAY_START
    return ended.exit_reason == reason and ended.reasons[reason] - ended.settled.get(reason, 0) < _RAY_STARTS


@dataclass(frozen=True)
class Place:
    """Where an attempt runs.

    Attributes:
        job, node: the scheduler's names of the job and the node; None without a scheduler.
        lost: reason to count for the attempt before, where that attempt left none.
        why_stopped: the reason behind a signal that asked to stop. A run waits to go on unless it is "cancelled".
        goes_on: whether a run is left to be continued instead of failed, by its state with this attempt counted.
        machines: a context in which the machines of the run are ready. It gives `sweeps.trainers.Lost` for them, or
            None where its last argument asked to stop before the machines were ready.
    """

    job: str | None = None
    node: str | None = None
    lost: ExitReason = ExitReason.KILLED
    why_stopped: Callable[[int], ExitReason] = lambda _: ExitReason.CANCELLED
    goes_on: Callable[[RunState], bool] = ray_may_start
    machines: Machines = lambda *_: nullcontext(trainers.nothing_is_lost)


HERE = Place()
