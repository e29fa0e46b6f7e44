"""The local launcher: several runs side by side, each in a process of its own.

Workers are forked from one warm server process that has imported the trainers of the runs once, so a run starts at
once. Nothing here knows what a run computes: see `sweeps.worker.job`.
"""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from rich.console import Console

from qae.checks import whole_number, whole_number_or_null
from qae.nested import section
from qae.run_directory import RunStatus
from sweeps import trainers
from sweeps.launching import tables
from sweeps.launching.executor import Execution, Feed, no_more
from sweeps.launching.plan import Action, Plan, PlannedRun
from sweeps.launching.progress import Progress
from sweeps.launching.watch import Watch, fresh_with_forks
from sweeps.run_store.locking import is_locked
from sweeps.worker import forks, run_checks, tracking
from sweeps.worker.job import Exit, run_in_worker

_POLL_SECONDS = 0.3
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What multiprocessing reports for every worker whose fork server is gone; the workers themselves may live.
_SERVER_DIED = 255
# A killed fork server closes its socket some time before it leaves the process table; only then another one is started.
_TRIES, _TRY_SECONDS = 20, 0.1


class LocalExecutor:
    """Runs side by side on this machine; see `sweeps.launching.executor.Executor`.

    Args:
        parallel: runs side by side; see `side_by_side`.
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel

    def in_flight(self, root: Path) -> frozenset[str]:  # noqa: ARG002  # whoever runs here holds the run's lock
        """Empty: a process that runs here holds the run's lock, which the plan reads."""
        return frozenset()

    def check(self, runs: Sequence[PlannedRun]) -> None:
        """Refuse runs that this machine cannot train."""
        for run in runs:
            trainers.of(run.config).check_machine(run.config)
            run_checks.check_installed(run.config)

    def describe(self, plan: Plan) -> Sequence[str]:  # noqa: ARG002
        """How many go side by side."""
        return (f"Up to {tables.count(self._parallel, 'run')} side by side on this machine.",)

    def launch(self, plan: Plan, console: Console, feed: Feed = no_more) -> Execution:
        """Run what the plan and the feed say and follow what runs elsewhere, until all is over.

        A failing run does not stop the others. The first Ctrl-C, SIGTERM or closed terminal lets running steps finish
        and writes checkpoints; the second kills. The feed is not asked any more once the user wants to stop.
        """
        pool, watch, runs = _Pool(plan.name, self._parallel), Watch(), list(plan.runs)
        pool.add(runs)
        fed: Sequence[PlannedRun] | None = ()
        with Progress(console, self._parallel) as show:
            with _stopped_by_signals(pool):
                while True:
                    if fed is not None and not pool.stop_requests and (fed := feed(pool.failed)):
                        runs += fed
                        pool.add(fed)
                    if not pool.unfinished() and (fed is None or pool.stop_requests):
                        break
                    pool.advance()
                    show(fresh_with_forks(watch, runs))
                    pool.wait(_POLL_SECONDS)
            show(fresh_with_forks(watch, runs))
        return Execution(pool.failed, pool.stop_requests > 0)


def side_by_side(config: Mapping[str, object]) -> int:
    """How many runs go side by side: `resources.parallel`, or as many as the cores that may be used allow.

    Raises:
        ConfigError: a count below 1.
    """
    resources = section(config, "resources")
    threads = whole_number("resources.threads", resources.get("threads"), 1)
    parallel = whole_number_or_null("resources.parallel", resources.get("parallel"), 1)
    if trainers.of(config).takes_machine(config):
        return parallel or 1
    return parallel or max(1, len(os.sched_getaffinity(0)) // threads)


@contextmanager
def _stopped_by_signals(pool: "_Pool") -> Iterator[None]:
    """Signals that ask to stop go to the pool while the block runs; whatever ends the block ends the workers."""
    previous = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:  # nohup asks to go on without a terminal
            signal.signal(number, pool.on_signal)
    try:
        yield
    finally:
        pool.kill()
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Pool:
    """Waiting, running and followed runs."""

    def __init__(self, sweep: str, parallel: int) -> None:
        self._sweep = sweep
        self._parallel = parallel
        self._waiting: list[PlannedRun] = []
        self._followed: list[PlannedRun] = []
        self._running: dict[str, tuple[PlannedRun, ForkServerProcess]] = {}
        self._context = multiprocessing.get_context("forkserver")
        # Threads that wait must not spin: the cores belong to the runs beside this one.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._preloaded = False
        self._tries: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.stop_requests = 0

    def add(self, runs: Sequence[PlannedRun]) -> None:
        """Take more runs; the first ones say what the fork server imports before it starts."""
        waiting = [run for run in runs if run.action.runs]
        followed = [run for run in runs if run.action is Action.FOLLOW]
        if (waiting or followed) and not self._preloaded:
            self._context.set_forkserver_preload(_preloaded([run.config for run in (*waiting, *followed)]))
            self._preloaded = True
        self._waiting += waiting
        self._followed += followed

    def unfinished(self) -> bool:
        return bool(self._waiting or self._running or self._followed)

    def on_signal(self, number: int, _frame: object) -> None:
        self.stop_requests += 1
        forwarded = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        for _, process in list(self._running.values()):
            self._send(process, forwarded if self.stop_requests == 1 else signal.SIGKILL)

    def advance(self) -> None:
        """Reap what ended, pick up what others left, start what fits."""
        for running, process in list(self._running.values()):
            if not process.is_alive():
                self._reap(running, process)
        for run in [run for run in self._followed if not is_locked(run.directory)]:
            self._followed.remove(run)
            self._take_over(run)
        while self._waiting and len(self._running) < self._parallel and not self.stop_requests:
            run = self._waiting.pop(0)
            if is_locked(run.directory):
                self._followed.append(run)
            else:
                self._start(run)
        if self.stop_requests:
            self._waiting.clear()
            self._followed.clear()

    def wait(self, seconds: float) -> None:
        """Sleep, at most until a worker ends."""
        if self._running:
            wait([process.sentinel for _, process in self._running.values()], seconds)
        else:
            time.sleep(seconds)

    def kill(self) -> None:
        """End every worker now; what they computed since their checkpoints is computed again."""
        for _, process in self._running.values():
            self._send(process, signal.SIGKILL)

    def _start(self, run: PlannedRun) -> None:
        process = self._context.Process(
            target=run_in_worker,
            args=(str(run.directory.path), self._sweep, run.state.attempt),
            name=f"run-{run.run_id}",
        )
        try:
            process.start()
        except (EOFError, ConnectionError):  # the fork server is gone: a signal to all of the group ends it too
            self._not_started(run)
            return
        self._running[run.run_id] = (run, process)
        if self.stop_requests:  # it came while the process started
            self._send(process, signal.SIGTERM)

    def _not_started(self, run: PlannedRun) -> None:
        """Try a run again, by the fork server that starts anew once the old one is gone from the process table."""
        self._tries[run.run_id] += 1
        if self._tries[run.run_id] == _TRIES:
            self.failed[run.run_id] = "the process that starts workers ends each time; the same command tries again"
            return
        time.sleep(_TRY_SECONDS)
        self._waiting.append(run)

    def _reap(self, run: PlannedRun, process: ForkServerProcess) -> None:
        process.join()
        del self._running[run.run_id]
        code = process.exitcode or 0
        if code in (Exit.RUNS_ELSEWHERE, _SERVER_DIED):
            self._followed.append(run)
        elif code == Exit.INTERRUPTED:
            reason = forks.last_of(run.directory).read_state().reason
            self.failed[run.run_id] = f"{reason}; the same command continues it"
        elif code < 0 and not self.stop_requests:
            self.failed[run.run_id] = f"killed by {_signal_name(-code)}; the same command continues it"
        elif code > 0 and (reason := self._reason(run)):
            self.failed[run.run_id] = reason
        elif code > 0 and not self.stop_requests:
            self.failed[run.run_id] = f"the worker ended with code {code}"

    def _take_over(self, run: PlannedRun) -> None:
        """A followed run has ended: done or failed elsewhere, or its process died and it is ours to continue."""
        if reason := self._reason(run):
            self.failed[run.run_id] = reason
        elif not run.directory.read_state().status.is_final and run.directory.requested_end() is None:
            self._waiting.append(run)

    @staticmethod
    def _send(process: ForkServerProcess, number: int) -> None:
        with suppress(ProcessLookupError):
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

    @staticmethod
    def _reason(run: PlannedRun) -> str | None:
        last = forks.last_of(run.directory)
        state = last.read_state()
        if state.status is not RunStatus.FAILED:
            return None
        whose = "" if last == run.directory else f"run {last.run_id}, its fork: "
        return f"{whose}{state.reason or 'failed'}"


def _preloaded(configs: Sequence[Mapping[str, object]]) -> list[str]:
    """What the fork server imports for all workers."""
    modules = dict.fromkeys(module for config in configs for module in trainers.of(config).preload(config))
    wandb = ["wandb"] if any(tracking.uses_wandb(config) for config in configs) else []
    return ["sweeps.worker.warm", *modules, *wandb]


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
