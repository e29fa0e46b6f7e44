"""From composed configurations to a list of runs and what happens to each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from pathlib import Path

from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps import trainers
from sweeps.composition import toolkit_keys
from sweeps.launching import estimate, oddities
from sweeps.run_store.identity import run_id
from sweeps.run_store.locking import is_locked
from sweeps.run_store.store import ManifestRun, RunStore, axes, label
from sweeps.worker import forks, run_checks

# What tells a fork from its parent.
_FORK_KEYS = {"algorithm.quantile_k": (), "fork.run": ()}


class Action(StrEnum):
    """What launching does with a run."""

    START = "start"
    RESUME = "resume"
    RETRY = "retry"
    FOLLOW = "follow"  # it runs in another process, or waits in a queue
    SKIP_DONE = "done"
    SKIP_FAILED = "failed before"
    SKIP_STOPPED = "stopped by guard"

    @property
    def runs(self) -> bool:
        """Whether the run has steps left that this launch takes care of."""
        return self in (Action.START, Action.RESUME, Action.RETRY)


@dataclass(frozen=True)
class Job:
    """A composed configuration and the overrides that made it."""

    overrides: tuple[str, ...]
    config: Mapping[str, object]


@dataclass(frozen=True)
class PlannedRun:
    """A run of the plan.

    Attributes:
        run_id: see `sweeps.run_store.identity`.
        overrides: what the sweep set for it.
        config: its resolved configuration.
        directory: where it lives.
        state: where it stands.
        total_steps: global steps that complete it.
        action: what launching does with it.
        label: the run in a few words: what sets it apart from the plan's other runs.
        gpu_hours: what its steps to come will need, about; None without GPUs.
        step_seconds: what a global step will take, about; None without GPUs.
    """

    run_id: str
    overrides: tuple[str, ...]
    config: Mapping[str, object]
    directory: RunDirectory
    state: RunState
    total_steps: int
    action: Action
    label: str
    gpu_hours: float | None = None
    step_seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a launch will do.

    Attributes:
        name: the sweep's name.
        runs: one entry a run id, in the order of the sweep.
        warnings: sentences for the user.
    """

    name: str
    runs: tuple[PlannedRun, ...]
    warnings: tuple[str, ...]

    @property
    def manifest_runs(self) -> tuple[ManifestRun, ...]:
        """The runs as a manifest lists them."""
        return tuple(ManifestRun(run.run_id, run.overrides) for run in self.runs)


def make_plan(
    jobs: Sequence[Job], store: RunStore, *, name: str, retry: bool, in_flight: Collection[str] = frozenset()
) -> Plan:
    """Identify the runs, look where each stands and decide; writes nothing.

    Args:
        jobs: composed configurations, resolved.
        store: where runs are looked up.
        name: the sweep's name.
        retry: start failed runs again.
        in_flight: ids of runs that wait or run already where no lock shows it.

    Raises:
        ConfigError: a job that could not run; before anything was started.
        StoreError: the store holds something that is no run state.
    """
    varying = axes([job.overrides for job in jobs])
    corrections: dict[str, float] | None = None
    exists = cache(Path.exists)
    runs: dict[str, PlannedRun] = {}
    duplicates = 0
    for job in jobs:
        toolkit_keys.check(job.config)
        run_checks.check(job.config, exists)
        identity = run_id(job.config)
        if identity in runs:
            duplicates += 1
            continue
        if corrections is None and estimate.gpu_hours(job.config, 1) is not None:
            corrections = estimate.corrections(store)
        planned = partial(_planned, store, in_flight=in_flight, retry=retry, corrections=corrections or {})
        runs[identity] = run = planned(identity, job, label(job.overrides, varying))
        if run.state.status is RunStatus.STOPPED_BY_GUARD and (fork := forks.fork_of(run.directory)) is not None:
            forked = fork_job(job, identity, fork)
            runs[fork.run_id] = planned(fork.run_id, forked, label(forked.overrides, {**varying, **_FORK_KEYS}))
    return Plan(name, tuple(runs.values()), tuple(_warnings(jobs, duplicates)))


def _planned(
    store: RunStore,
    identity: str,
    job: Job,
    words: str,
    *,
    in_flight: Collection[str],
    retry: bool,
    corrections: Mapping[str, float],
) -> PlannedRun:
    directory = store.directory(identity)
    state = store.state(directory)
    total = trainers.of(job.config).total_steps(job.config)
    correction = corrections.get(estimate.model(job.config), 1.0)
    return PlannedRun(
        run_id=identity,
        overrides=job.overrides,
        config=job.config,
        directory=directory,
        state=state,
        total_steps=total,
        action=Action.FOLLOW if identity in in_flight else _action(directory, state, retry=retry),
        label=words,
        gpu_hours=estimate.gpu_hours(job.config, max(0, total - state.step), correction),
        step_seconds=estimate.step_seconds(job.config, correction),
    )


def fork_job(job: Job, parent: str, fork: forks.Fork) -> Job:
    """The job of a run that goes on instead of its parent."""
    config = forks.config_of(job.config, parent, fork.step, fork.k)
    return Job(forks.overrides_of(job.overrides, parent, fork), config)


def _action(directory: RunDirectory, state: RunState, *, retry: bool) -> Action:
    if is_locked(directory):
        return Action.FOLLOW
    # One that was forked goes on as its fork, which is a run of its own.
    retry = retry and not (state.status is RunStatus.STOPPED_BY_GUARD and forks.fork_of(directory) is not None)
    return action_of(state, retry=retry)


def action_of(state: RunState, *, retry: bool) -> Action:
    """What launching does with a run that neither runs nor waits.

    Args:
        state: where the run stands.
        retry: whether it starts again where it failed or its guard stopped it.
    """
    match state.status:
        case RunStatus.DONE:
            return Action.SKIP_DONE
        case RunStatus.FAILED:
            return Action.RETRY if retry else Action.SKIP_FAILED
        case RunStatus.STOPPED_BY_GUARD:
            return Action.RETRY if retry else Action.SKIP_STOPPED
    return Action.RESUME if state.attempt > 0 else Action.START


def _warnings(jobs: Sequence[Job], duplicates: int) -> list[str]:
    warnings = list(dict.fromkeys(sentence for job in jobs for sentence in oddities.of(job.config)))
    if duplicates:
        jobs_compute = "1 job computes" if duplicates == 1 else f"{duplicates} jobs compute"
        warnings.append(f"{jobs_compute} what another one computes; each run is run once")
    return [f"{warning}." for warning in warnings]
