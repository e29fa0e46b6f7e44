"""A Slurm cluster as a place to run: see `sweeps.launching.executor.Executor`."""

import shlex
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from rich.console import Console

from qae.checks import boolean
from qae.console import literal, streams, terminal
from qae.errors import ConfigError
from qae.nested import section, value_of
from slurm.batches import BatchStore
from slurm.follow import Follower
from slurm.queue import client
from slurm.queue.client import SlurmError
from slurm.queue.states import Phase
from slurm.request import Request, grouped, pace_of
from slurm.script import Array
from slurm.submit import Submission, Submitter, patiently
from sweeps import trainers
from sweeps.composition import dry_run
from sweeps.composition.dry_run import DryRun
from sweeps.launching import tables
from sweeps.launching.executor import Execution, Feed, no_more
from sweeps.launching.plan import Action, Plan, PlannedRun
from sweeps.launching.progress import Progress
from sweeps.run_store import checkout, snapshot
from sweeps.run_store.store import RunStore
from sweeps.worker import forks, run_checks

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PLAN_PATIENCE_SECONDS = 60.0


class SlurmExecutor:
    """Runs as elements of job arrays; see `sweeps.launching.executor.Executor`.

    Args:
        config: of the sweep's first job, resolved; `sweep` and `slurm.show_scripts` are taken from it.

    Raises:
        ConfigError: a switch that is neither true nor false.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self._wait = _switch(config, "sweep.wait")
        self._dry_run = dry_run.of(config) is not DryRun.NO
        self._snapshot = _switch(config, "sweep.snapshot")
        self._show_scripts = _switch(config, "slurm.show_scripts")
        self._root = Path(str(section(config, "sweep")["root"])).expanduser().resolve()
        self._unknown: str | None = None

    def in_flight(self, root: Path) -> frozenset[str]:
        """Ids of runs that wait or run. A run with a final state, whose job is still ending, is not in flight."""
        batches = BatchStore(root)
        try:
            jobs = batches.queued(patiently(client.queue, _to_stderr, _PLAN_PATIENCE_SECONDS))
        except SlurmError as error:
            if not self._dry_run:
                raise
            self._unknown = f"What is in the queue is not known: {error}."
            return frozenset()
        store = RunStore(root)
        forked = {forks.last_of(store.directory(run_id)).run_id for run_id in jobs}  # the job goes on with the fork
        waiting = {run_id for run_id, job in jobs.items() if job.state.phase is Phase.WAITING}
        return frozenset(run_id for run_id in jobs.keys() | forked if run_id in waiting or not _is_final(store, run_id))

    def check(self, runs: Sequence[PlannedRun]) -> None:
        """Refuse requests that sbatch could not use, and files that jobs would not find."""
        for request, group in grouped(runs).items():
            for run in group:
                if request.container is None:
                    run_checks.check_installed(run.config)
                if self._snapshot:
                    _check_paths(run.config)

    def describe(self, plan: Plan) -> Sequence[str]:
        """Sentences for the plan: what is submitted, with which options and, if asked for, the scripts."""
        actions = Counter(run.action for run in plan.runs)
        words = {
            "to submit": actions[Action.START] + actions[Action.RETRY],
            "to resume": actions[Action.RESUME],
            "to attach to": actions[Action.FOLLOW],
            "to skip": sum(actions[skip] for skip in (Action.SKIP_DONE, Action.SKIP_FAILED, Action.SKIP_STOPPED)),
        }
        sentences = [f"Slurm: {', '.join(f'{number} {word}' for word, number in words.items())}."]
        groups = grouped([run for run in plan.runs if run.action.runs])
        for request, runs in groups.items():
            sentences.append(f"  {tables.count(len(runs), 'job')} with {request.describe()}")
            pace = pace_of(runs[0])
            sentences += [] if pace is None else [f"    {sentence}" for sentence in request.cost(pace)]
        if self._unknown:
            sentences.append(self._unknown)
        if self._show_scripts:
            sentences += [self._script(request, runs) for request, runs in groups.items()]
        return sentences

    def launch(self, plan: Plan, console: Console, feed: Feed = no_more) -> Execution:
        """Submit what the plan and the feed say; follow it and what is in flight, unless `sweep.wait` is false."""
        with _stop_signals() as received:
            return self._launch(plan, console, lambda: bool(received), feed)

    def _launch(self, plan: Plan, console: Console, stopped: Callable[[], bool], feed: Feed) -> Execution:
        batches = BatchStore(self._root)
        say = partial(literal.say, console)
        submitter = Submitter(batches, plan.name, cache(self._code), say, stopped)
        starting = [run for run in plan.runs if run.action.runs]
        submission = submitter.submit(starting)
        if submission.refusal and not submission.submitted:
            raise SlurmError(f"nothing was submitted: {submission.refusal}")
        for sentence in _summary(submission):
            say(sentence)
        failed = dict.fromkeys(submission.refused, f"not submitted: {submission.refusal or 'stopped before'}")
        if not self._wait or stopped():
            notes = [*_room(submission.waiting), _come_back(plan.name, self._root)]
            return Execution(failed, interrupted=stopped(), notes=tuple(notes), unfinished=True)
        over = {run.run_id for run in plan.runs if not run.action.runs and run.action is not Action.FOLLOW}
        over |= set(submission.refused)

        def stopped_following() -> bool:
            return stopped() or streams.is_lost()  # the jobs need nobody who looks on

        with Progress(console, max(1, len(plan.runs) - len(over))) as progress:
            follower = Follower(batches, progress, say, stopped_following, feed)
            runs = list(plan.runs)
            while not follower.follow(runs, over, [run.run_id for run in submission.waiting], submission.full):
                if stopped_following():
                    break
                runs += follower.fed
                submission = submitter.submit([*submission.waiting, *follower.fed])
                for sentence in _summary(submission):
                    say(sentence)
                refused = dict.fromkeys(submission.refused, f"not submitted: {submission.refusal}")
                failed |= refused
                over |= set(refused)
        failed |= follower.failed
        if not stopped_following():
            return Execution(failed)
        notes = [*_room(submission.waiting), _come_back(plan.name, self._root)]
        return Execution(failed, interrupted=True, notes=tuple(notes), unfinished=True)

    def _code(self) -> Path:
        return snapshot.take(self._root) if self._snapshot else checkout.CODE

    def _script(self, request: Request, runs: Sequence[PlannedRun]) -> str:
        """The script of an array, but for the batch's id and the copy of the code, which are made at submission."""
        code = self._root / "sweeps" / "code" / "COPY" if self._snapshot else checkout.CODE
        return "\n" + Array("qae-BATCH", len(runs), BatchStore(self._root).path("BATCH"), code, request).script()


def _summary(submission: Submission) -> Iterator[str]:
    if submission.submitted:
        arrays = sorted({job.partition("_")[0] for job in submission.submitted.values()}, key=int)
        jobs, into = tables.count(len(submission.submitted), "job"), tables.count(len(arrays), "array")
        yield f"Submitted {jobs} in {into}: {', '.join(arrays)}."
    if submission.attached:
        yield f"Attached to {tables.count(len(submission.attached), 'run')} that another launch started."
    if submission.refusal:
        yield f"Not submitted: {tables.count(len(submission.refused), 'run')}. {submission.refusal}"


def _room(waiting: Sequence[PlannedRun]) -> Iterator[str]:
    if waiting:
        yield (
            f"The queue takes no more jobs of yours for now: {tables.count(len(waiting), 'run')} not submitted yet. "
            "The same command submits them when there is room."
        )


def _come_back(sweep: str, root: Path) -> str:
    command = shlex.join(["qae", "status", "--watch", sweep, "--root", str(root)])
    return f"The jobs go on without this process: `{command}` or the same command follows."


def _is_final(store: RunStore, run_id: str) -> bool:
    return store.state(store.directory(run_id)).status.is_final


def _check_paths(config: Mapping[str, object]) -> None:
    """Jobs run from a copy of the code, so a path beside the launcher means nothing to them.

    Raises:
        ConfigError: a relative path of a file or folder that is here.
    """
    for key, paths in trainers.of(config).files(config).items():
        for path in paths:
            if not Path(path).is_absolute() and Path(path).exists():
                fix = "jobs run elsewhere: give an absolute path (QAE_DATA for data sets), or sweep.snapshot=false"
                raise ConfigError(key, path, fix)


def _switch(config: Mapping[str, object], key: str) -> bool:
    return boolean(key, value_of(config, key))


def _to_stderr(sentence: str) -> None:
    literal.say(terminal.console(stderr=True), sentence)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Signals that asked to stop following; jobs are left alone, and what is being submitted is finished."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup asks to go on without a terminal
            signal.signal(number, lambda which, _: received.append(which))
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
