"""The local launcher: several runs side by side, each in a process of its own.

Workers are forked from one warm server process that has imported the trainer once (and verl, where a run's loss
needs it), so a run starts at once. Nothing here knows what a run computes: see `sweeps.job`.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerProcess
from typing import cast

from qae.errors import ConfigError
from qae.run_directory import RunStatus
from sweeps import backends
from sweeps.job import run_in_worker
from sweeps.plan import Action, Plan, PlannedRun, is_locked
from sweeps.store import RunStore

_POLL_SECONDS = 0.2
_PRELOADED = ["sweeps.warm"]
_PRELOADED_WITH_VERL = [*_PRELOADED, "verl.trainer.ppo.core_algos"]


@dataclass(frozen=True)
class LocalResult:
    """How the runs ended.

    Attributes:
        failed: run ids that failed or were killed, with one sentence each.
        interrupted: whether the user stopped the sweep.
    """

    failed: Mapping[str, str]
    interrupted: bool


def side_by_side(config: Mapping[str, object]) -> int:
    """How many runs go side by side: `resources.parallel`, or as many as the cores that may be used allow.

    Raises:
        ConfigError: a count below 1.
    """
    resources = cast("Mapping[str, int | None]", config.get("resources", {}))
    for key in ("threads", "parallel"):
        value = resources.get(key)
        wrong = value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1)
        if wrong or (value is None and key == "threads"):
            raise ConfigError(f"resources.{key}", value, "give a whole number of at least 1")
    threads = resources["threads"] or 1
    return resources["parallel"] or max(1, len(os.sched_getaffinity(0)) // threads)


def launch(plan: Plan, store: RunStore, parallel: int, watch: Callable[[Sequence[PlannedRun]], None]) -> LocalResult:
    """Run what the plan says and follow what runs elsewhere, until all is over.

    A failing run does not stop the others. The first Ctrl-C or SIGTERM lets running steps finish and writes
    checkpoints; the second kills.

    Args:
        plan: the runs; their directories are created here.
        store: where they live.
        parallel: runs side by side.
        watch: called several times a second with the runs and their fresh states.
    """
    for run in plan.runs:
        store.create(run.run_id, run.config)
    pool = _Pool(plan, parallel)
    previous = {number: signal.signal(number, pool.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while pool.unfinished():
            pool.advance()
            watch(_fresh(plan))
            time.sleep(_POLL_SECONDS)
    finally:
        pool.kill()
        for number, handler in previous.items():
            signal.signal(number, handler)
    watch(_fresh(plan))
    return LocalResult(pool.failed, pool.stop_requests > 0)


def _fresh(plan: Plan) -> list[PlannedRun]:
    return [replace(run, state=run.directory.read_state()) for run in plan.runs]


class _Pool:
    """Waiting, running and followed runs."""

    def __init__(self, plan: Plan, parallel: int) -> None:
        self._sweep = plan.name
        self._parallel = parallel
        self._waiting = [run for run in plan.runs if run.action.runs]
        self._followed = [run for run in plan.runs if run.action is Action.FOLLOW]
        self._running: dict[str, tuple[PlannedRun, ForkServerProcess]] = {}
        self._context = multiprocessing.get_context("forkserver")
        # Threads that wait must not spin: the cores belong to the runs beside this one.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        verl = any(backends.needs_verl(run.config) for run in self._waiting)
        self._context.set_forkserver_preload(_PRELOADED_WITH_VERL if verl else _PRELOADED)
        self.failed: dict[str, str] = {}
        self.stop_requests = 0

    def unfinished(self) -> bool:
        return bool(self._waiting or self._running or self._followed)

    def on_signal(self, _number: int, _frame: object) -> None:
        self.stop_requests += 1
        for _, process in self._running.values():
            if self.stop_requests == 1:
                process.terminate()
            else:
                process.kill()

    def advance(self) -> None:
        """Reap what ended, pick up what others left, start what fits."""
        for running, process in list(self._running.values()):
            if not process.is_alive():
                self._reap(running, process)
        for run in list(self._followed):
            if not is_locked(run.directory):
                self._followed.remove(run)
                self._take_over(run)
        if self.stop_requests:
            self._waiting.clear()
            self._followed.clear()
        while self._waiting and len(self._running) < self._parallel:
            run = self._waiting.pop(0)
            process = self._context.Process(
                target=run_in_worker, args=(str(run.directory.path), self._sweep), name=f"run-{run.run_id}"
            )
            process.start()
            self._running[run.run_id] = (run, process)

    def kill(self) -> None:
        for _, process in self._running.values():
            process.kill()

    def _reap(self, run: PlannedRun, process: ForkServerProcess) -> None:
        process.join()
        del self._running[run.run_id]
        code = process.exitcode or 0
        if code == 3:
            self._followed.append(run)
        elif code < 0 and not self.stop_requests:
            self.failed[run.run_id] = f"killed by {signal.Signals(-code).name}; the same command continues it"
        elif code > 0:
            self.failed[run.run_id] = run.directory.read_state().reason or f"the worker ended with code {code}"

    def _take_over(self, run: PlannedRun) -> None:
        """A followed run has ended: done or failed elsewhere, or its process died and it is ours to continue."""
        state = run.directory.read_state()
        if state.status is RunStatus.FAILED:
            self.failed[run.run_id] = state.reason or "failed"
        elif state.status is not RunStatus.DONE:
            self._waiting.append(run)
