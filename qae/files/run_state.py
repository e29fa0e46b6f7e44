"""Where a run stands: what its `state.json` says, and what of a file that others change too is refused."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from qae.checks import is_number, is_whole
from qae.files import numbers

# In the reason of a run whose batches hold no group with both right and wrong responses: its policy has collapsed.
NOTHING_TO_LEARN = "there is nothing to learn from"


class RunStatus(StrEnum):
    """Where a run stands."""

    PLANNED = "planned"
    QUEUED = "queued"
    RUNNING = "running"
    PREEMPTED = "preempted"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STOPPED_BY_GUARD = "stopped by guard"

    @property
    def is_final(self) -> bool:
        """Whether launching again leaves the run alone unless it is told otherwise."""
        return self in (RunStatus.DONE, RunStatus.FAILED, RunStatus.STOPPED_BY_GUARD)

    @property
    def shown(self) -> str:
        """The status as people read it: whatever cut an attempt short, and a cluster does it least, interrupted it."""
        return "interrupted" if self is RunStatus.PREEMPTED else str(self)


def has_collapsed(status: RunStatus, reason: str) -> bool:
    """Whether a run failed because no group of a batch had both right and wrong responses."""
    return status is RunStatus.FAILED and NOTHING_TO_LEARN in reason


@dataclass(frozen=True)
class RunState:
    """What `state.json` says.

    Attributes:
        status: see `RunStatus`.
        step: last global step whose metrics are on disk; 0 before the first update.
        total_steps: global steps that complete the run.
        attempt: starts of the job body so far.
        heartbeat: seconds since the epoch at the last write.
        started: seconds since the epoch at the start of this attempt; None before.
        start_step: step that this attempt continued from, for the rate of steps.
        pid, host: where it runs or ran last.
        reason: one sentence, for failed, interrupted and cancelled runs.
        latest: last known values of the few metrics that lists of runs show, by metric name.
        job: Slurm's id of the job that has it or had it last, ``1234_5``; None where no Slurm runs it.
        node: Slurm's name of the node of that job.
        exit_reason: why the last attempt that ended early did (`sweeps.worker.reasons.ExitReason`); None before,
            and once the run is done.
        reasons: how many attempts ended early, by reason.
        settled: `reasons` when the run was last given up; a retry counts anew from there.
        stuck_step: step at which the last attempt ended that crashed, or ran out of time before its first step; the
            same again is a failure.
        tracking: what W&B did not take of the last attempt and why, a part of a sentence; None where it took all of it
            or was not asked.
    """

    status: RunStatus = RunStatus.PLANNED
    step: int = 0
    total_steps: int = 0
    attempt: int = 0
    heartbeat: float = 0.0
    started: float | None = None
    start_step: int = 0
    pid: int | None = None
    host: str | None = None
    reason: str | None = None
    latest: Mapping[str, float] = field(default_factory=dict)
    job: str | None = None
    node: str | None = None
    exit_reason: str | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    settled: Mapping[str, int] = field(default_factory=dict)
    stuck_step: int | None = None
    tracking: str | None = None

    @property
    def collapsed(self) -> bool:
        """See `has_collapsed`."""
        return has_collapsed(self.status, self.reason or "")


def loads(content: bytes) -> RunState:
    """The state in the content of a state.json.

    Raises:
        ValueError: it is none that this version wrote; says what is wrong with it.
    """
    try:
        values = orjson.loads(content)
        latest = {name: numbers.unspelled(value) for name, value in (values.get("latest") or {}).items()}
        return RunState(**{**_checked(values), "status": RunStatus(values["status"]), "latest": latest})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def dumps(state: RunState) -> bytes:
    """The content of state.json."""
    return orjson.dumps(numbers.spelled(asdict(state)), option=orjson.OPT_INDENT_2)


def _checked(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of state.json, which people and other programs change too.

    Raises:
        TypeError: a value of another kind than this version writes.
    """
    for name, is_right in _KINDS.items():
        if name in values and not is_right(values[name]):
            raise TypeError(f"{name} is {values[name]!r}")
    return values


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _are_counts(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(is_whole, value.values()))


_KINDS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("step", "total_steps", "attempt", "start_step"), is_whole),
    **dict.fromkeys(("pid", "stuck_step"), lambda value: value is None or is_whole(value)),
    "heartbeat": is_number,
    "started": lambda value: value is None or is_number(value),
    **dict.fromkeys(("host", "reason", "job", "node", "exit_reason", "tracking"), _is_text),
    **dict.fromkeys(("reasons", "settled"), _are_counts),
}
