"""From jobs to results: plan, show, run, say what failed."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from qae.checks import boolean
from qae.console import streams, terminal
from qae.console.literal import say
from qae.console.text import brief
from qae.errors import ConfigError
from qae.nested import section
from qae.run_directory import RunStatus
from sweeps.composition import dry_run
from sweeps.composition.dry_run import DryRun
from sweeps.launching import tables
from sweeps.launching.confirm import Confirmation
from sweeps.launching.executor import Execution, Executor
from sweeps.launching.plan import Action, Job, Plan, PlannedRun, make_plan
from sweeps.run_store.store import RunStore, checked_name
from sweeps.worker import forks, guard, tracking

_STOPPED = RunStatus.STOPPED_BY_GUARD


@dataclass(frozen=True)
class Outcome:
    """What a launch came to.

    Attributes:
        root: of the run store.
        sweep: its name.
        run_ids: its runs, in order; empty where nothing was started and where runs go on without this process.
        exit_code: 0, 1 where runs failed or the user said no, 130 where the user stopped it.
        is_search: whether the sweep was a search, whose results are a study's.
    """

    root: Path
    sweep: str
    run_ids: tuple[str, ...]
    exit_code: int
    is_search: bool = False


def launch(jobs: Sequence[Job], executor: Executor, console: Console, notes: Sequence[str] = ()) -> Outcome:
    """Plan the jobs, run what is not done and follow it.

    Args:
        jobs: composed, resolved configurations of one sweep; `sweep` and `tracking` are taken from the first.
        executor: where they run.
        console: where tables and progress go.
        notes: sentences to show with the plan.

    Raises:
        ConfigError: a job that could not run; nothing was started or written.
        StoreError: the run store is damaged; nothing was started.
    """
    settings = jobs[0].config
    ends = dry_run.of(settings)
    sweep = section(settings, "sweep")
    configs, tracked = tracking.for_launch([job.config for job in jobs], sys.argv)
    jobs = [replace(job, config=config) for job, config in zip(jobs, configs, strict=True)]
    confirmation = Confirmation.of(sweep)
    store = RunStore(_root(sweep))
    plan = make_plan(
        jobs,
        store,
        name=checked_name(sweep["name"]),
        retry=boolean("sweep.retry", sweep["retry"]),
        in_flight=executor.in_flight(store.root),
    )
    if ends is DryRun.AS_JSON:
        print(*tables.plan_lines(plan), sep="\n", file=console.file)
        return Outcome(store.root, plan.name, (), 0)
    _show_plan(plan, console, (*notes, *plan.warnings, *executor.describe(plan), *map(str, tracked)))
    if ends is DryRun.SHOWN:
        console.print("sweep.dry_run=true: nothing was started.")
        return Outcome(store.root, plan.name, (), 0)
    starting = [run for run in plan.runs if run.action.runs]
    executor.check(starting)
    if not confirmation.holds(plan, console):
        console.print("Nothing was started.")
        return Outcome(store.root, plan.name, (), 1)
    for run in starting:
        store.create(run.run_id, run.config)
        if run.state.status is _STOPPED:
            guard.overrule(run.directory)
    try:
        store.record_sweep(plan.name, sys.argv, plan.manifest_runs)
    except OSError as error:
        if starting:
            raise
        console.print(f"The sweep's list of runs is not written: {error.filename}: {error.strerror}.", markup=False)
    ended = Execution()
    streams.outlast(watching(store.root))
    if any(run.action.runs or run.action is Action.FOLLOW for run in plan.runs):
        ended = executor.launch(plan, console)
    failed = {run.run_id: run.state.reason or "failed" for run in plan.runs if run.action is Action.SKIP_FAILED}
    failed |= ended.failed
    _show_end(plan, ended, failed, console)
    code = 130 if ended.interrupted else int(bool(failed))
    return Outcome(store.root, plan.name, () if ended.unfinished else _with_forks(plan), code)


def watching(root: object) -> str:
    """A sentence for a launch whose output nobody reads any more: how to watch its runs."""
    return f"The runs go on; `qae status --watch --root {root}` shows them."


def _show_end(plan: Plan, ended: Execution, failed: Mapping[str, str], console: Console) -> None:
    if all(run.action is Action.SKIP_DONE for run in plan.runs):
        console.print("All runs are done already.")
    if failed:
        terminal.show(console, tables.failure_table(failed, plan.runs), tables.FAILURE_LEAST, "`qae status` has them")
        console.print("Failed runs start again with sweep.retry=true; killed ones with the same command.")
    for sentence in (*_stopped_by_guard(plan), *not_tracked(plan.runs), *ended.notes):
        say(console, sentence)
    if ended.interrupted and not ended.unfinished:
        console.print("Stopped. The same command goes on from here.")


def _stopped_by_guard(plan: Plan) -> Iterator[str]:
    """A sentence for each run that its guard ended, and how to go on all the same."""
    stopped = [(run, state) for run in plan.runs if (state := run.directory.read_state()).status is _STOPPED]
    for run, state in stopped:
        why = (state.reason or "").removeprefix("guard: ")
        yield f"Run {run.run_id} ({brief(run.label)}) was stopped by its guard: {why}."
    if any(forks.fork_of(run.directory) is None for run, _ in stopped):
        yield "Runs that a guard stopped count with what they logged; they go on with sweep.retry=true."


def not_tracked(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """A sentence for each thing that kept W&B from taking runs whole, and how to send them."""
    problems: dict[str, list[str]] = {}
    for run in runs:
        last = forks.last_of(run.directory)
        if run.action is not Action.SKIP_DONE and (problem := last.read_state().tracking):
            problems.setdefault(problem, []).append(last.run_id)
    for problem, run_ids in problems.items():
        which = f"run {run_ids[0]}" if len(run_ids) == 1 else f"{len(run_ids)} runs ({run_ids[0]}, …)"
        yield f"W&B, {which}: {problem}. Every number is in the run directory; `qae sync` sends what is missing."


def _with_forks(plan: Plan) -> tuple[str, ...]:
    """Ids of the runs, each with that of the fork that goes on instead of it."""
    return tuple(
        dict.fromkeys(run_id for run in plan.runs for run_id in (run.run_id, forks.last_of(run.directory).run_id))
    )


def _root(sweep: Mapping[str, object]) -> Path:
    """The run store's folder, which may not be there yet.

    Raises:
        ConfigError: a file stands where the folder is to be.
    """
    root = Path(str(sweep["root"])).expanduser().resolve()
    nearest = next(path for path in (root, *root.parents) if path.exists())
    if not nearest.is_dir():
        raise ConfigError("sweep.root", str(sweep["root"]), f"{nearest} is a file; name a folder")
    return root


def _show_plan(plan: Plan, console: Console, sentences: Sequence[str]) -> None:
    terminal.show(console, tables.plan_table(plan), tables.PLAN_LEAST, "A pipe (`| cat`) shows them")
    for sentence in sentences:
        say(console, sentence)
