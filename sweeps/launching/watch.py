"""Runs as they change: states read again only where the file has changed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.launching.plan import Job, PlannedRun, fork_job
from sweeps.run_store.locking import standing
from sweeps.worker import forks

_Stamp = tuple[int, int, int]


class Watch:
    """Fresh states of planned runs, for the price of one `stat` a run that has not moved."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Stamp, RunState]] = {}
        self._forks: dict[tuple[str, int], forks.Fork | None] = {}

    def fresh(self, runs: Iterable[PlannedRun]) -> list[PlannedRun]:
        """The runs with their states as they are now."""
        return [replace(run, state=self.state(run.directory)) for run in runs]

    def state(self, directory: RunDirectory) -> RunState:
        """Where a run stands now."""
        try:
            stat = directory.state.stat()
        except FileNotFoundError:
            return RunState()
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        known = self._known.get(directory.run_id)
        if known is None or known[0] != stamp:
            known = (stamp, directory.read_state())
            self._known[directory.run_id] = known
        return standing(directory, known[1])

    def fork(self, run: PlannedRun) -> forks.Fork | None:
        """The run that goes on instead of one that its guard stopped; read once an attempt, which decides once."""
        attempt = (run.run_id, run.state.attempt)
        if attempt not in self._forks:
            self._forks[attempt] = forks.fork_of(run.directory)
        return self._forks[attempt]


def forks_of(runs: Sequence[PlannedRun], watch: Watch) -> list[PlannedRun]:
    """Runs that go on instead of those that their guard has stopped since the plan was made.

    Args:
        runs: of the plan, with fresh states.
        watch: of the launch.
    """
    known = {run.run_id for run in runs}
    found = []
    for run in runs:
        fork = watch.fork(run) if run.state.status is RunStatus.STOPPED_BY_GUARD else None
        if fork is not None and fork.run_id not in known:
            job = fork_job(Job(run.overrides, run.config), run.run_id, fork)
            forked = replace(run, run_id=fork.run_id, overrides=job.overrides, config=job.config)
            words = f"K={fork.k:g}, fork of {run.run_id}"
            found.append(replace(forked, directory=forks.last_of(run.directory), label=words))
    return found


def fresh_with_forks(watch: Watch, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs as they stand, and the forks that their workers or jobs have gone on to."""
    fresh = watch.fresh(runs)
    return [*fresh, *watch.fresh(forks_of(fresh, watch))]


def sweep_seconds_left(runs: Iterable[PlannedRun], parallel: int, now: float) -> float | None:
    """Seconds until all runs are done, at the mean rate of the running ones; None where that is not known yet.

    Args:
        runs: with fresh states; failed and stopped ones are taken as over.
        parallel: how many go side by side.
        now: seconds since the epoch.
    """
    unfinished = [run for run in runs if not run.state.status.is_final and run.state.status is not RunStatus.CANCELLED]
    rates = [rate for run in unfinished if (rate := seconds_a_step(run.state)) is not None]
    if not rates:
        return None
    steps = sum(run.total_steps - run.state.step for run in unfinished)
    longest = max(run.total_steps - run.state.step for run in unfinished)
    rate = sum(rates) / len(rates)
    since_last = min(now - run.state.heartbeat for run in unfinished if run.state.status is RunStatus.RUNNING)
    return max(0.0, rate * max(longest, steps / parallel) - since_last)


def seconds_left(state: RunState, total_steps: int, now: float) -> float | None:
    """Seconds until a running run is done at the rate of its attempt; None where that is not known."""
    rate = seconds_a_step(state)
    return None if rate is None else max(0.0, (total_steps - state.step) * rate - (now - state.heartbeat))


def seconds_a_step(state: RunState) -> float | None:
    """Mean seconds a step of the running attempt; None for a run that does not run or has no two steps yet."""
    steps = state.step - state.start_step
    if state.status is not RunStatus.RUNNING or steps < 1 or state.started is None:
        return None
    return (state.heartbeat - state.started) / steps
