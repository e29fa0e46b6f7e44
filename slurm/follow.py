"""Following runs whose jobs wait or run, by their state files; squeue shows jobs that ended without a last state."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from qae.run_directory import RunStatus
from slurm.batches import BatchStore
from slurm.queue import client
from slurm.queue.client import Limits, QueuedJob, SlurmError
from slurm.queue.pacing import MISSING_ANSWERS, Looks, is_worth_a_round, rest_seconds
from slurm.queue.states import JobState, Phase
from sweeps.launching.executor import Feed, no_more
from sweeps.launching.plan import PlannedRun
from sweeps.launching.watch import Watch, fresh_with_forks
from sweeps.run_store.locking import is_locked
from sweeps.worker.forks import parent_of

# Why a job waits that will not start before somebody changes something.
_STUCK = (
    "BadConstraints",
    "PartitionTimeLimit",
    "PartitionNodeLimit",
    "PartitionDown",
    "PartitionInactive",
    "AssocMaxWallDurationPerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "InvalidAccount",
    "InvalidQOS",
    "DependencyNeverSatisfied",
)


@dataclass
class Follower:
    """Follows runs until all are over.

    Attributes:
        batches: of the run store.
        show: called with the runs and their fresh states.
        say: where sentences go.
        stopped: whether the user asked to stop following.
        feed: gives more runs while following goes on.
        failed: ids of runs that ended short of their last step, with a sentence.
        fed: runs that the feed gave last and that have no job yet.
    """

    batches: BatchStore
    show: Callable[[Sequence[PlannedRun]], None]
    say: Callable[[str], None]
    stopped: Callable[[], bool]
    feed: Feed = no_more
    failed: dict[str, str] = field(default_factory=dict)
    fed: Sequence[PlannedRun] = ()
    _more_to_come: bool = True
    _looks: Looks | None = None
    _statuses: Sequence[RunStatus] = ()
    _watch: Watch = field(default_factory=Watch)
    _missing: dict[str, int] = field(default_factory=dict)
    _last_jobs: dict[str, QueuedJob] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def follow(
        self,
        runs: Sequence[PlannedRun],
        over: set[str],
        waiting: Collection[str] = (),
        full: Sequence[Limits] = (),
    ) -> bool:
        """Follow until all runs are over, or until runs need a job: the feed has some, or `waiting` ones find room.

        Args:
            runs: all of the sweep, shown as they stand.
            over: ids of runs that are not waited for; it grows.
            waiting: ids of runs that have no job yet, as the queue is full.
            full: limits at which they wait.

        Returns:
            whether all are over.
        """
        began = time.monotonic()
        looks = self._looks or Looks.begun(began, len(runs))
        self.fed = ()
        while True:
            fresh = fresh_with_forks(self._watch, runs)
            self.show(fresh)
            for run in fresh:
                if run.run_id not in over and run.state.status.is_final:
                    self._end(run, over)
            if self.stopped():
                return False
            if self._take():
                return False
            if not self._more_to_come and all(run.run_id in over for run in fresh):
                return True
            statuses = [run.state.status for run in fresh]
            if statuses != self._statuses:
                self._statuses, looks = statuses, looks.after_change(time.monotonic())
            if time.monotonic() >= looks.next:
                jobs = self._look([run for run in fresh if run.run_id not in over and run.run_id not in waiting], over)
                self._looks = looks = looks.after_look(time.monotonic())
                if waiting and jobs is not None and _is_worth_a_round(full, jobs, time.monotonic() - began):
                    return False
            time.sleep(rest_seconds(len(runs)))

    def _take(self) -> bool:
        """Ask the feed for more runs; returns whether it had any."""
        if self._more_to_come:
            fed = self.feed(self.failed)
            self._more_to_come = fed is not None
            self.fed = fed or ()
        return bool(self.fed)

    def _look(self, runs: Sequence[PlannedRun], over: set[str]) -> Sequence[QueuedJob] | None:
        """Ask the queue. A run is over once two answers lack its job and no process holds its lock.

        Returns:
            the user's jobs; None where Slurm does not answer.
        """
        try:
            queue = client.queue()
        except SlurmError as error:
            self._tell("queue", f"{error}; the jobs go on, and so does looking.")
            return None
        jobs = _with_forks(self.batches.queued(queue), runs)
        self._told.discard("queue")
        self._last_jobs |= jobs
        self._tell_of_stuck([jobs[run.run_id] for run in runs if run.run_id in jobs])
        gone = []
        for run in runs:
            if run.run_id in jobs or is_locked(run.directory):
                self._missing.pop(run.run_id, None)
                continue
            self._missing[run.run_id] = self._missing.get(run.run_id, 0) + 1
            if self._missing[run.run_id] >= MISSING_ANSWERS:
                gone.append(run)
        ends = self._ends(gone)
        for run in gone:
            self._end(run, over, ends.get(run.run_id))
        return queue

    def _end(self, run: PlannedRun, over: set[str], by_slurm: str | None = None) -> None:
        over.add(run.run_id)
        state = run.directory.read_state()
        if state.status in (RunStatus.DONE, RunStatus.STOPPED_BY_GUARD):
            return
        if state.status.is_final:
            self.failed[run.run_id] = state.reason or str(state.status)
        elif state.status in (RunStatus.PREEMPTED, RunStatus.CANCELLED) and state.reason:
            self.failed[run.run_id] = f"{state.reason}; the same command continues it"
        else:
            self.failed[run.run_id] = f"{by_slurm or 'its job is gone'}; the same command continues it"

    def _ends(self, runs: Sequence[PlannedRun]) -> Mapping[str, str]:
        """What accounting says of the jobs of runs, by run id."""
        known = {run.run_id: job for run in runs if (job := self._last_jobs.get(run.run_id) or self._noted(run))}
        if not known:
            return {}
        names = sorted({job.name for job in known.values()})
        since = min(batch.created for batch in self.batches.all() if batch.job_name in names)
        found = {(job.array, job.index): job for job in client.accounting(names, since)}
        return {
            run_id: f"its job {job.id} {record.state.meaning} ({record.text})"
            if (record := found.get((job.array, job.index))) is not None
            else f"its job {job.id} left the queue"
            for run_id, job in known.items()
        }

    def _noted(self, run: PlannedRun) -> QueuedJob | None:
        """The job that a run's state names; None if no batch of the store has it."""
        array, _, index = (run.directory.read_state().job or "").partition("_")
        for batch in self.batches.all():
            if batch.job_id == array and index.isdecimal():
                return QueuedJob(array, int(index), JobState.UNKNOWN, "", "", "", batch.job_name)
        return None

    def _tell_of_stuck(self, jobs: Sequence[QueuedJob]) -> None:
        for job in jobs:
            if job.is_held:
                self._tell(
                    job.array, f"Job {job.id} is held ({job.reason}): `scontrol release {job.id}` lets it start."
                )
            elif any(word in job.reason for word in _STUCK):
                self._tell(job.array, f"Job {job.id} will not start as it is: Slurm says {job.reason}.")

    def _tell(self, about: str, sentence: str) -> None:
        if about not in self._told:
            self._told.add(about)
            self.say(sentence)


def _is_worth_a_round(full: Sequence[Limits], jobs: Sequence[QueuedJob], since: float) -> bool:
    for limits in full:
        counting = [job for job in jobs if limits.account in (None, job.account)]
        pending = sum(job.state.phase is Phase.WAITING for job in counting)
        if is_worth_a_round(limits.submit, len(counting), pending, since):
            return True
    return False


def _with_forks(jobs: Mapping[str, QueuedJob], runs: Sequence[PlannedRun]) -> dict[str, QueuedJob]:
    """Jobs by run id; a fork without one of its own has its parent's."""
    own = {run.run_id: job for run in runs if (job := jobs.get(parent_of(run.config) or "")) is not None}
    return {**own, **jobs}
