"""state.json during an attempt."""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from qae import metrics
from qae.console.text import encodable
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.worker import tracking
from sweeps.worker.place import Place
from sweeps.worker.reasons import ExitReason

_SHOWN = (metrics.ENTROPY.name, metrics.pass_at(1).name, metrics.ZERO_FRACTION.name, metrics.LENGTH_MEAN.name)


class StateOnDisk:
    """Keeps state.json in step with the trainer."""

    def __init__(self, directory: RunDirectory, state: RunState, place: Place) -> None:
        self._directory = directory
        self._state = state
        self._place = place
        self._first = True

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """A step was logged with these values."""
        now = time.time()
        if self._first:
            # The rate of steps counts from here: what came before is start-up, and the trainer continues from
            # its checkpoint, which may lie before the last step on disk.
            self._state = replace(self._state, start_step=step, started=now)
            self._first = False
        latest = {**self._state.latest, **{name: values[name] for name in _SHOWN if name in values}}
        self._state = replace(self._state, step=step, heartbeat=now, latest=latest)
        self._directory.write_state(self._state)

    def note(self, sentence: str | None) -> None:
        """Have lists of runs show a sentence while the run goes on."""
        if sentence != self._state.reason:
            self._state = replace(self._state, reason=sentence)
            self._directory.write_state(self._state)

    def tracked(self, tracker: tracking.Tracker) -> None:
        """Have the state say what the tracker could not do, during the run and after it."""
        if tracker.problem and tracker.problem != self._state.tracking:
            self._state = replace(self._state, tracking=encodable(tracker.problem))
            with suppress(OSError):
                self._directory.write_state(self._state)

    def stopped(self, number: int, step: int) -> RunStatus:
        """The trainer ended after a step because a signal asked it to."""
        reason = self._place.why_stopped(number)
        status = stopped_as(reason, made_a_step=not self._first)
        if status is RunStatus.FAILED:
            return self.end(status, reason, "no step fits into the time limit; give more with resources.walltime")
        cause = "" if reason is ExitReason.CANCELLED else f" ({reason})"
        return self.end(status, reason, f"stopped by {signal.Signals(number).name}{cause} after step {step}")

    def end(self, status: RunStatus, exit_reason: ExitReason | None = None, sentence: str | None = None) -> RunStatus:
        """Write the end of the attempt; returns the run's status."""
        running = replace(self._state, heartbeat=time.time())
        self._state = ended(running, status, exit_reason, sentence, self._place.goes_on)
        try:
            self._directory.write_last_state(self._state)
        except OSError as error:
            logging.getLogger(__name__).warning("state.json cannot say how the attempt ended: %s", error)
        return self._state.status


def begun(before: RunState, lost: ExitReason, total_steps: int, now: float) -> RunState:
    """The state of a new attempt. An earlier attempt that recorded no end is counted.

    Args:
        before: the state on disk.
        lost: reason to count for an attempt that left no word.
        total_steps: global steps that complete the run.
        now: seconds since the epoch.
    """
    if before.status is RunStatus.RUNNING:
        before = counted(before, lost, None)
    return RunState(
        status=RunStatus.RUNNING,
        step=before.step,
        total_steps=total_steps,
        attempt=before.attempt + 1,
        heartbeat=now,
        started=now,
        start_step=before.step,
        latest=before.latest,
        exit_reason=before.exit_reason,
        reasons=before.reasons,
        settled=before.settled,
        stuck_step=before.stuck_step,
    )


def stopped_as(reason: ExitReason, *, made_a_step: bool) -> RunStatus:
    """The status that an attempt gives its run when a signal asked it to stop.

    Args:
        reason: who asked.
        made_a_step: whether the attempt finished a step.
    """
    if reason is ExitReason.TIME_LIMIT and not made_a_step:
        return RunStatus.FAILED
    return RunStatus.CANCELLED if reason is ExitReason.CANCELLED else RunStatus.PREEMPTED


def ended(
    state: RunState,
    status: RunStatus,
    exit_reason: ExitReason | None,
    sentence: str | None,
    goes_on: Callable[[RunState], bool],
) -> RunState:
    """The last state of an attempt. A failure after which the run is tried again leaves it preempted.

    Args:
        state: while the attempt ran.
        status: that the attempt came to.
        exit_reason: why it ended early; None where it did not.
        sentence: for the reader.
        goes_on: whether a run is tried again, by its state with this attempt counted.
    """
    last = counted(replace(state, status=status), exit_reason, sentence)
    if status is not RunStatus.FAILED:
        return last
    if not goes_on(last):
        return replace(last, settled=last.reasons, stuck_step=None)
    stuck = last.step if exit_reason in (ExitReason.CRASH, ExitReason.TIME_LIMIT) else None
    return replace(last, status=RunStatus.PREEMPTED, stuck_step=stuck)


def counted(state: RunState, exit_reason: ExitReason | None, sentence: str | None) -> RunState:
    """The state with one more attempt that ended for this reason."""
    if exit_reason is None:
        return replace(state, exit_reason=None, reason=sentence)
    counts = {**state.reasons, exit_reason.value: state.reasons.get(exit_reason.value, 0) + 1}
    return replace(state, exit_reason=exit_reason.value, reason=sentence, reasons=counts)
