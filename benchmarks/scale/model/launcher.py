"""The launcher in the model: it plans, submits and follows by the toolkit's own rules, and counts what it asks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.scale.model.queue import Queue
from benchmarks.scale.model.run import Run
from benchmarks.scale.settings import HOUR, Scenario
from qae.run_directory import RunStatus
from slurm.queue.pacing import MISSING_ANSWERS, Looks, is_worth_a_round, rest_seconds
from slurm.request import Request
from slurm.submit import chunks, room
from sweeps.launching.plan import action_of

# What `slurm.queue.client.limits` asks: the configuration; the user's account, association and QOS.
_LIMITS = {"scontrol": 1, "sacctmgr": 3}


@dataclass
class Launcher:
    """A user who gives one command until all runs are done.

    Attributes:
        scenario: what is swept.
        runs: of the sweep.
        queue: of the cluster.
        at: has a function called at a time, milliseconds.
        fill: starts what may start.
        calls: of Slurm's commands so far, by command.
        file_reads: of states and batches that submitting read.
        launches: how often the command was given.
        arrays: that were submitted.
    """

    scenario: Scenario
    runs: Sequence[Run]
    queue: Queue
    at: Callable[[int, Callable[[int], None]], None]
    fill: Callable[[], None]
    calls: Counter[str] = field(default_factory=Counter)
    file_reads: int = 0
    launches: int = 0
    arrays: int = 0
    _waiting: list[Run] = field(default_factory=list)
    _open: int = 0
    _changed: bool = False
    _finals: int = 0
    _missing: dict[int, int] = field(default_factory=dict)
    _looks: Looks = field(default_factory=lambda: Looks.begun(0.0, 1))
    _submitted: int = 0
    _ticked: int = 0
    _due: int = -1
    _is_following: bool = False

    def launch(self, now: int) -> None:
        """Give the command: plan, submit, follow."""
        self.launches += 1
        retry = self.launches > 1
        starting = [run for run in self.runs if action_of(run.state, retry=retry).runs]
        self._open, self._finals, self._waiting, self._missing = len(starting), 0, starting, {}
        self._is_following = True
        self.calls["squeue"] += 1  # for the plan
        self._submit(now)
        self._looks, self._ticked, self._changed = Looks.begun(now / 1000, len(self.runs)), now, False
        self._plan_tick(now + self._rest)

    def changed(self, now: int) -> None:
        """A run's state on disk has changed."""
        if self._is_following and not self._changed:
            self._changed = True
            self._plan_tick(self._ticked + self._rest * ((now - self._ticked) // self._rest + 1))

    def is_over(self, now: int) -> None:
        """A run is done or given up."""
        self._finals += 1
        self.changed(now)

    def has_lost(self, run: Run) -> None:
        """A run's job has left the queue without a last word."""
        self._missing[run.number] = 0

    @property
    def _rest(self) -> int:
        return round(1000 * rest_seconds(self.scenario.runs))

    def _plan_tick(self, time: int) -> None:
        self._due = time
        self.at(time, self._tick)

    def _tick(self, now: int) -> None:
        if now != self._due or not self._is_following:
            return  # a sooner look took its place
        self._ticked = now
        if self._changed:
            self._changed, self._looks = False, self._looks.after_change(now / 1000)
        self._open, self._finals = self._open - self._finals, 0
        if self._open and now / 1000 >= self._looks.next:
            self._look()
            self._looks = self._looks.after_look(now / 1000)
            since = (now - self._submitted) / 1000
            submit, queue = self.scenario.site.limits.submit, self.queue
            if self._waiting and is_worth_a_round(submit, queue.size, queue.size - queue.running, since):
                self._submit(now)
        if self._open:
            wait = round(1000 * self._looks.next) - now
            self._plan_tick(now + self._rest * max(1, -(-wait // self._rest)))
        else:
            self._is_following = False
            if any(run.state.status is not RunStatus.DONE for run in self.runs):
                self.at(now + round(1000 * HOUR * self.scenario.choices.relaunch_hours), self.launch)

    def _look(self) -> None:
        self.calls["squeue"] += 1
        for number in self._missing:
            self._missing[number] += 1
        gone = [number for number, answers in self._missing.items() if answers >= MISSING_ANSWERS]
        for number in gone:
            del self._missing[number]
        self.calls["sacct"] += bool(gone)
        self._open -= len(gone)

    def _submit(self, now: int) -> None:
        """As `slurm.submit.Submitter.submit` does, with each question that it asks."""
        limits, self._submitted = self.scenario.site.limits, now
        self.file_reads += 2 * len(self._waiting) + self.arrays
        self.calls["squeue"] += 1
        self.calls.update(_LIMITS)
        left: list[Run] = []
        for request, part in chunks(self._waiting, Request((), throttle=self.scenario.choices.throttle), limits):
            if left:
                left += part
                continue
            space = len(part)
            if limits.submit is not None:
                self.calls["squeue"] += 1
                space = room(limits.submit, self.queue.size)
            left += part[space:] if self._ask_sbatch(part[:space], request.throttle) else part
        self._waiting = left
        self.fill()

    def _ask_sbatch(self, runs: Sequence[Run], throttle: int | None) -> bool:
        """Whether the cluster takes an array."""
        self.calls["sbatch"] += 1
        submit = self.scenario.site.limits.submit
        if submit is not None and self.queue.size + len(runs) > submit:
            return False
        for run in runs:
            run.restarts = 0
            if run.state.status is not RunStatus.RUNNING:
                run.state = replace(run.state, status=RunStatus.QUEUED, job=None, node=None, reason=None)
        self.queue.submit([run.number for run in runs], throttle)
        self.arrays += 1
        return True
