"""Submission: runs become job arrays, each exactly once, whatever kills the launcher in between.

What is done in which order: the runs say queued, the batch is on disk, sbatch is asked, its answer is on disk. A lock
lets one launcher do so at a time for a store; sbatch inherits it. The next launcher asks Slurm by name for the jobs of
batches that have none.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from qae.run_directory import RunState, RunStatus, write_atomic
from slurm.batches import Batch, BatchStore, new_id
from slurm.queue import client
from slurm.queue.client import Limits, QueueFullError, SlurmError, UnavailableError
from slurm.request import Request, grouped
from slurm.script import Array
from sweeps.launching.plan import PlannedRun
from sweeps.run_store.locking import AlreadyRunningError, exclusive, is_locked, leased

# A controller that restarts is back within minutes; a launcher that died on another machine has let go by then.
PATIENCE_SECONDS = 300.0
_LONGEST_PAUSE_SECONDS = 10.0
_WRITERS = 16  # a run's state is a file, and a shared file system answers slowly but many at once

Say = Callable[[str], None]
_Answer = TypeVar("_Answer")
_Run = TypeVar("_Run")


@dataclass
class Submission:
    """What came of submitting.

    Attributes:
        submitted: ids of runs that have a job now, with it.
        attached: ids of runs that had one, or run elsewhere.
        arrays: job arrays that were submitted.
        waiting: runs for which the queue has no room yet.
        full: limits at which they wait.
        refusal: why sbatch refused, in a sentence; the runs from there on were not submitted.
        refused: ids of those.
    """

    submitted: dict[str, str] = field(default_factory=dict)
    attached: set[str] = field(default_factory=set)
    arrays: int = 0
    waiting: list[PlannedRun] = field(default_factory=list)
    full: list[Limits] = field(default_factory=list)
    refusal: str | None = None
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Submitter:
    """Submits runs of one sweep.

    Attributes:
        batches: of the run store.
        sweep: its name.
        code: makes the folder that jobs run from.
        say: where sentences on what takes long go.
        stopped: whether the user asked to stop; what is under way is finished.
    """

    batches: BatchStore
    sweep: str
    code: Callable[[], Path]
    say: Say
    stopped: Callable[[], bool]

    def submit(self, runs: Sequence[PlannedRun]) -> Submission:
        """Submit what has no job and is not settled by now.

        Args:
            runs: that were to start when they were planned; their directories exist.

        Raises:
            ConfigError: a request that sbatch could not use; nothing was submitted.
            SlurmError: Slurm does not answer; what was submitted by then is known to the next launcher.
        """
        result = Submission()
        with self._turn() as lock:
            started = self._in_flight()
            ours = []
            for run in runs:
                if run.run_id in started or is_locked(run.directory):
                    result.attached.add(run.run_id)
                elif not _settled_since(run):
                    ours.append(run)
            for request, group in grouped(ours).items():
                self._submit_group(request, group, lock, result)
        return result

    def _submit_group(self, request: Request, group: Sequence[PlannedRun], lock: int, result: Submission) -> None:
        limits = patiently(lambda: client.limits(request.option("account"), request.option("qos")), self.say)
        arrays = chunks(group, request, limits)
        waited = len(result.waiting)
        while arrays:
            share, runs = arrays.pop(0)
            if result.refusal is not None or self.stopped():
                result.refused += [run.run_id for run in runs]
                continue
            if result.waiting:
                result.waiting += runs
                continue
            room = self._room(limits)
            if room is not None:
                result.waiting += runs[room:]
                runs = runs[:room]
            try:
                self._submit_array(share, runs, lock, result)
            except QueueFullError:
                if len(runs) == 1:
                    result.waiting += runs
                else:  # a limit that nobody told us
                    half = len(runs) // 2
                    arrays[:0] = [(share, runs[:half]), (share, runs[half:])]
            except UnavailableError:
                raise
            except SlurmError as error:
                result.refusal = _with_hint(str(error), request)
                result.refused += [run.run_id for run in runs]
        if len(result.waiting) > waited:
            result.full.append(limits)

    def _room(self, limits: Limits) -> int | None:
        """See `room`."""
        if limits.submit is None:
            return None
        queued = patiently(client.queue, self.say)
        return room(limits.submit, sum(limits.account in (None, job.account) for job in queued))

    def _submit_array(self, request: Request, runs: Sequence[PlannedRun], lock: int, result: Submission) -> None:
        before = _queue_up(runs)
        result.attached |= {run.run_id for run in runs if run.run_id not in before}
        runs = [run for run in runs if run.run_id in before]
        if not runs:
            return
        code = self.code()
        ids = tuple(run.run_id for run in runs)
        batch = Batch(new_id(), self.sweep, ids, str(code), time.time())
        array = Array(batch.job_name, len(runs), self.batches.path(batch.id), code, request)
        batch = replace(batch, options=dict(array.options))
        script = self.batches.script(batch.id)
        write_atomic(script, array.script().encode())
        self.batches.write(batch)
        try:
            job = self._ask_sbatch(script, array, batch, lock)
        except UnavailableError:
            raise
        except SlurmError:
            _restore(runs, before)
            self.batches.remove(batch)
            raise
        self.batches.write(replace(batch, job_id=job))
        result.arrays += 1
        result.submitted |= {run_id: f"{job}_{index}" for index, run_id in enumerate(ids)}
        _note_jobs(runs, result.submitted)

    def _ask_sbatch(self, script: Path, array: Array, batch: Batch, lock: int) -> str:
        """Submit and return the job's id. After a lost answer the job is looked up by name before it is sent again."""

        def ask() -> str:
            try:
                return client.submit(script, array.arguments, lock)
            except UnavailableError:
                found = patiently(lambda: self._arrays_named([batch]), self.say)
                if (job := found.get(batch.job_name)) is None:
                    raise
                return job

        return patiently(ask, self.say)

    def _in_flight(self) -> set[str]:
        """Ids of runs in the queue, after the batches of killed launchers are settled."""
        unsettled = [batch for batch in self.batches.all() if batch.job_id is None]
        if unsettled:
            found = patiently(lambda: self._arrays_named(unsettled), self.say)
            for batch in self.batches.settle(found):
                self.batches.remove(batch)
        return set(self.batches.queued(patiently(client.queue, self.say)))

    def _arrays_named(self, batches: Sequence[Batch]) -> dict[str, str]:
        names = [batch.job_name for batch in batches]
        accounted = client.accounting(names, min(batch.created for batch in batches))
        found = {job.name: job.array for job in accounted}
        return found | {job.name: job.array for job in client.queue() if job.name in names}

    @contextmanager
    def _turn(self) -> Iterator[int]:
        """Hold the lock of the store's launchers; yields its file descriptor."""
        lock = self.batches.lock
        deadline = time.monotonic() + PATIENCE_SECONDS
        waits = False
        while True:
            try:
                turn = exclusive(lock)
                descriptor = turn.__enter__()
                break
            except AlreadyRunningError:
                if time.monotonic() >= deadline or self.stopped():
                    raise SlurmError(
                        f"another launcher submits to {self.batches.root} for minutes now; the same command tries again"
                    ) from None
                if not waits:
                    self.say("Another launcher is submitting to this store; waiting for it.")
                    waits = True
                time.sleep(0.2)
        try:
            with leased(lock):
                yield descriptor
        finally:
            turn.__exit__(None, None, None)


def patiently(ask: Callable[[], _Answer], say: Say, patience: float = PATIENCE_SECONDS) -> _Answer:
    """Slurm's answer; while Slurm does not answer, it is asked again.

    Raises:
        SlurmError: it refused, or did not answer for so long.
    """
    deadline = time.monotonic() + patience
    pause = 0.5
    while True:
        try:
            return ask()
        except UnavailableError as error:
            if time.monotonic() + pause >= deadline:
                raise
            if pause == 0.5:
                say(f"Slurm does not answer ({error}); trying again.")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def chunks(runs: Sequence[_Run], request: Request, limits: Limits) -> list[tuple[Request, Sequence[_Run]]]:
    """Runs of one request in arrays that the cluster takes, each with its share of the throttle."""
    size = min(limits.array, limits.submit or limits.array)
    parts = [runs[start : start + size] for start in range(0, len(runs), size)]
    if request.throttle is None:
        return [(request, part) for part in parts]
    whole, rest = divmod(request.throttle, len(parts))
    shares = [max(1, whole + (number < rest)) for number in range(len(parts))]
    return [(replace(request, throttle=share), part) for share, part in zip(shares, parts, strict=True)]


def room(submit: int, queued: int) -> int:
    """How many more jobs the queue is likely to take; at least one, as sbatch has the last word.

    Args:
        submit: jobs that the user may have in the queue.
        queued: jobs there that count.
    """
    return max(1, submit - queued)


def _settled_since(run: PlannedRun) -> bool:
    """Whether a run was done, or tried and failed, between planning and now."""
    state = run.directory.read_state()
    return state.status is RunStatus.DONE or (state.status.is_final and state.attempt > run.state.attempt)


def _queue_up(runs: Sequence[PlannedRun]) -> Mapping[str, RunState]:
    """Mark runs as queued unless a process runs them; returns the earlier states of the marked ones.

    One that says running keeps saying so: nobody runs it, and the job body counts the attempt that was lost.
    """

    def mark(run: PlannedRun) -> tuple[str, RunState] | None:
        with suppress(AlreadyRunningError), exclusive(run.directory):
            state = run.directory.read_state()
            if state.status is not RunStatus.RUNNING:
                run.directory.write_state(replace(state, status=RunStatus.QUEUED, job=None, node=None, reason=None))
            return run.run_id, state
        return None

    return dict(marked for marked in _each(mark, runs) if marked is not None)


def _note_jobs(runs: Sequence[PlannedRun], jobs: Mapping[str, str]) -> None:
    """Write each waiting run's job into its state; one that has started has written it itself."""

    def note(run: PlannedRun) -> None:
        with suppress(AlreadyRunningError), exclusive(run.directory, patience=0):
            state = run.directory.read_state()
            if state.status is RunStatus.QUEUED:
                run.directory.write_state(replace(state, job=jobs[run.run_id]))

    _each(note, runs)


def _restore(runs: Sequence[PlannedRun], before: Mapping[str, RunState]) -> None:
    def restore(run: PlannedRun) -> None:
        with suppress(AlreadyRunningError), exclusive(run.directory):
            run.directory.write_state(before[run.run_id])

    _each(restore, runs)


def _each(do: Callable[[PlannedRun], _Answer], runs: Sequence[PlannedRun]) -> list[_Answer]:
    with ThreadPoolExecutor(_WRITERS) as pool:
        return list(pool.map(do, runs))


def _with_hint(sentence: str, request: Request) -> str:
    """Slurm's refusal, the request, and the key that may mend it."""
    lowered = sentence.lower()
    hint = ""
    if "partition" in lowered and "account" not in lowered and (names := client.partitions()):
        hint = f"; slurm.partition may be one of {', '.join(names)}"
    elif "account" in lowered or "association" in lowered:
        hint = "; set slurm.account (and slurm.partition) to a pair that `sacctmgr show assoc user=$USER` lists"
    elif "qos" in lowered:
        hint = "; set slurm.qos to one that `sacctmgr show assoc user=$USER format=qos` lists"
    elif "node configuration" in lowered or "feature" in lowered or "gres" in lowered:
        hint = "; no node of the partition has it: see resources.* and slurm.gres, slurm.constraint"
    return f"{sentence} (asked for: {request.describe()}){hint}"
