"""state.json during an attempt."""

import logging
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from qae import metrics
from qae.run_directory import RunDirectory, RunState, RunStatus
from qae.text import encodable
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
        if reason is ExitReason.TIME_LIMIT and self._first:
            sentence = "no step fits into the time limit; give more with resources.walltime"
            return self.end(RunStatus.FAILED, reason, sentence)
        status = RunStatus.CANCELLED if reason is ExitReason.CANCELLED else RunStatus.PREEMPTED
        cause = "" if reason is ExitReason.CANCELLED else f" ({reason})"
        return self.end(status, reason, f"stopped by {signal.Signals(number).name}{cause} after step {step}")

    def end(self, status: RunStatus, exit_reason: ExitReason | None = None, sentence: str | None = None) -> RunStatus:
        """Write how the attempt ended; what it leaves the run in."""
        ended = counted(replace(self._state, status=status, heartbeat=time.time()), exit_reason, sentence)
        if status is RunStatus.FAILED:
            stuck = ended.step if exit_reason in (ExitReason.CRASH, ExitReason.TIME_LIMIT) else None
            if self._place.goes_on(ended):
                ended = replace(ended, status=RunStatus.PREEMPTED, stuck_step=stuck)
            else:
                ended = replace(ended, settled=ended.reasons, stuck_step=None)
        self._state = ended
        try:
            self._directory.write_last_state(ended)
        except OSError as error:
            logging.getLogger(__name__).warning("state.json cannot say how the attempt ended: %s", error)
        return ended.status


def counted(state: RunState, exit_reason: ExitReason | None, sentence: str | None) -> RunState:
    """The state with one more attempt that ended for this reason."""
    if exit_reason is None:
        return replace(state, exit_reason=None, reason=sentence)
    counts = {**state.reasons, exit_reason.value: state.reasons.get(exit_reason.value, 0) + 1}
    return replace(state, exit_reason=exit_reason.value, reason=sentence, reasons=counts)
