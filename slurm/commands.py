"""`qae status`, `cancel`, `throttle`, `retry` and `resume`: of runs on this machine and of those that Slurm has."""

import json
import os
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from qae.console.command_line import MistakeError, root_option, say
from sweeps.commands.runs import selected, where_option

if TYPE_CHECKING:
    from slurm.queue.client import QueuedJob
    from sweeps.commands.status import InQueue
    from sweeps.launching.executor import Executor
    from sweeps.run_store.selection import StoredRun

_WATCH_SECONDS = 2.0
# A run that says queued for longer, and whose job squeue does not list, waits for nothing; clocks differ by less.
_UNSEEN_SECONDS = 60.0
_UNSEEN = "its job is not in your queue any more; `qae resume` submits it again"
_Answer = TypeVar("_Answer")


@click.command(short_help="Where runs stand.")
@click.argument("targets", nargs=-1, metavar="[SWEEP|RUN]…")
@click.option("--watch", is_flag=True, help="Go on showing until all runs are over; Ctrl-C leaves them alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run, for scripts.")
@where_option
@root_option
def status(targets: tuple[str, ...], where: tuple[str, ...], root: Path, *, watch: bool, as_json: bool) -> None:
    """Where the runs of SWEEP stand, or those of the whole store.

    Squeue is asked once for all commands of the same few seconds, and only where the store has Slurm jobs.
    """
    from qae.console import terminal
    from sweeps.commands import status as standing

    if watch:
        _watch(targets, where, root)
        return
    runs = selected(root, targets, where)
    queue, doubt = _in_queue(root, runs)
    if doubt:
        say(doubt, err=True)
    if as_json:
        now = time.time()
        for run in runs:
            click.echo(json.dumps(standing.as_json(run, queue.get(run.run_id), now)))
        return
    lines, missing = standing.table(runs, queue, room=terminal.width())
    for line in lines:
        say(line)
    for sentence in (missing, standing.summary(runs, queue)):
        if sentence:
            say(sentence, err=True)


@click.command(short_help="Stop runs, with a checkpoint where they run.")
@click.argument("targets", nargs=-1, metavar="[SWEEP|RUN]…")
@click.option("--all", "everything", is_flag=True, help="Every run of the store.")
@where_option
@root_option
def cancel(targets: tuple[str, ...], where: tuple[str, ...], root: Path, *, everything: bool) -> None:
    """Cancel the jobs of the named runs, and stop those that run on this machine; `qae resume` continues them."""
    from slurm.queue import client
    from sweeps.launching import tables

    if not (targets or where or everything):
        raise MistakeError("name sweeps or runs, or choose some with --where; --all stops every run of the store")
    runs = selected(root, targets, where)
    jobs = _jobs(root)
    ours = [run for run in runs if run.run_id in jobs]
    _ask_slurm(lambda: client.cancel([jobs[run.run_id].id for run in ours]))
    for run in ours:
        _note_cancelled(run)
    here, refusals = _stop_processes([run for run in runs if run.run_id not in jobs])
    click.echo(f"Cancelled {tables.count(len(ours), 'job')}; stopping {tables.count(here, 'run')} on this machine.")
    for sentence in refusals:
        say(sentence, err=True)


@click.command(short_help="How many runs of each job array go side by side.")
@click.argument("number", type=click.IntRange(min=0))
@click.argument("targets", nargs=-1, metavar="[SWEEP|RUN]…")
@root_option
def throttle(number: int, targets: tuple[str, ...], root: Path) -> None:
    """Run at most NUMBER runs of each queued job array at a time; 0 lifts the limit."""
    from slurm.queue import client
    from sweeps.launching import tables

    runs = selected(root, targets)
    jobs = _jobs(root)
    arrays = sorted({jobs[run.run_id].array for run in runs if run.run_id in jobs}, key=int)
    for array in arrays:
        _ask_slurm(partial(client.throttle, array, number or None))
    click.echo(f"{tables.count(len(arrays), 'job array')} changed" + (f": {', '.join(arrays)}." if arrays else "."))


@click.command(short_help="Start failed runs again.")
@click.argument("targets", nargs=-1, metavar="[SWEEP|RUN]…")
@click.option("--failed", is_flag=True, help="All that failed.")
@click.option("--oom", is_flag=True, help="Those whose last attempt ran out of memory, of the host or a GPU.")
@where_option
@root_option
def retry(targets: tuple[str, ...], where: tuple[str, ...], root: Path, *, failed: bool, oom: bool) -> None:
    """Start those of the named runs again that failed: former Slurm jobs as Slurm jobs, others on this machine.

    They go on from their checkpoints.
    """
    from qae.run_directory import RunStatus
    from sweeps.worker.reasons import ExitReason

    if not (targets or where or failed or oom):
        raise MistakeError("name sweeps or runs, or choose some with --failed, --oom or --where")
    again = (RunStatus.FAILED,) if failed else (RunStatus.FAILED, RunStatus.STOPPED_BY_GUARD)
    memory = (ExitReason.HOST_MEMORY, ExitReason.CUDA_MEMORY)
    runs = [
        run
        for run in selected(root, targets, where)
        if run.state.status in again and (not oom or run.state.exit_reason in memory)
    ]
    _launch(runs, root)


@click.command(short_help="Continue runs that were interrupted, and release held jobs.")
@click.argument("targets", nargs=-1, metavar="[SWEEP|RUN]…")
@click.option("--all", "everything", is_flag=True, help="Every run of the store.")
@where_option
@root_option
def resume(targets: tuple[str, ...], where: tuple[str, ...], root: Path, *, everything: bool) -> None:
    """Continue the runs that were interrupted, cancelled or never started, and let held jobs start."""
    from qae.run_directory import RunStatus
    from slurm.queue import client
    from sweeps.launching import tables

    if not (targets or where or everything):
        raise MistakeError("name sweeps or runs, or choose some with --where; --all continues every run of the store")
    runs = selected(root, targets, where)
    jobs = _jobs(root)
    held = [jobs[run.run_id].id for run in runs if run.run_id in jobs and jobs[run.run_id].is_held]
    for job in held:
        _ask_slurm(partial(client.release, job))
    if held:
        click.echo(f"Released {tables.count(len(held), 'held job')}: {', '.join(held)}.")
    over = (RunStatus.DONE, RunStatus.FAILED, RunStatus.STOPPED_BY_GUARD, RunStatus.RUNNING)
    waiting = [run for run in runs if run.run_id not in jobs and run.state.status not in over]
    if waiting or not held:
        _launch(waiting, root)


def _launch(runs: "Sequence[StoredRun]", root: Path) -> None:
    """Launch stored runs again from their own configurations, one sweep and one executor at a time.

    Raises:
        SystemExit: with the launch's status, where that is not 0.
    """
    from sweeps.run_store.identity import run_id

    if not runs:
        click.echo("No run is to be started.")
        return
    on_slurm = _sweeps_on_slurm(root)
    groups: defaultdict[tuple[str, bool], list[StoredRun]] = defaultdict(list)
    for run in runs:
        if not run.config:
            raise MistakeError(f"{run.directory.config} cannot be read; launch its sweep again to write it anew")
        if run_id(run.config) != run.run_id:
            raise MistakeError(f"{run.directory.config} describes another run by now; launch its sweep again")
        groups[run.sweep or "again", run.state.job is not None or run.sweep in on_slurm].append(run)
    codes = []
    for (sweep, by_slurm), group in groups.items():
        codes.append(_launch_group(group, sweep, root, by_slurm=by_slurm))
    if any(codes):
        raise SystemExit(max(codes))


def _launch_group(runs: "Sequence[StoredRun]", sweep: str, root: Path, *, by_slurm: bool) -> int:
    from qae.console import streams, terminal
    from qae.errors import ConfigError
    from slurm.executor import SlurmExecutor
    from sweeps.launching.executor import ExecutorError
    from sweeps.launching.launch import launch, watching
    from sweeps.launching.local import LocalExecutor, side_by_side
    from sweeps.launching.plan import Job
    from sweeps.run_store.store import StoreError

    settings = {
        "name": sweep, "root": str(root.expanduser().resolve()), "dry_run": False, "retry": True, "wait": False,
        "snapshot": True, "confirm_above": None, "confirm": "ask",
    }  # fmt: skip
    jobs = [Job(run.overrides, {**run.config, "sweep": settings}) for run in runs]
    streams.outlast(watching(settings["root"]))
    try:
        first = jobs[0].config
        executor: Executor = SlurmExecutor(first) if by_slurm else LocalExecutor(side_by_side(first))
        return launch(jobs, executor, terminal.console()).exit_code
    except ConfigError as error:
        raise MistakeError(_outgrown(runs, str(error))) from error
    except (ExecutorError, StoreError) as error:
        raise MistakeError(str(error)) from error


def _outgrown(runs: "Sequence[StoredRun]", refusal: str) -> str:
    """Why stored runs are not launched, with the directory whose configuration an earlier toolkit took."""
    from qae.errors import ConfigError
    from qae.files import layout
    from sweeps.worker import run_checks

    for run in runs:
        version = layout.read(run.directory.path)
        if version == layout.CURRENT:
            continue
        try:
            run_checks.check(run.config, lambda _: True)
        except ConfigError as error:
            return (
                f"{run.directory.path} (layout {version}, toolkit {layout.RELEASES[version]}) cannot be continued: "
                f"{error}; launch a run with that key changed, or continue this one with the toolkit that began it"
            )
    return refusal


def _sweeps_on_slurm(root: Path) -> frozenset[str]:
    from slurm.batches import BatchStore

    return frozenset(batch.sweep for batch in BatchStore(root.expanduser().resolve()).all())


def _jobs(root: Path) -> "Mapping[str, QueuedJob]":
    from slurm.queue_cache import jobs_of

    return _ask_slurm(lambda: jobs_of(root.expanduser().resolve(), fresh=True))


def _ask_slurm(ask: Callable[[], _Answer]) -> _Answer:
    from slurm.queue.client import SlurmError
    from sweeps.run_store.store import StoreError

    try:
        return ask()
    except (SlurmError, StoreError) as error:
        raise MistakeError(str(error)) from error


def _in_queue(root: Path, runs: "Sequence[StoredRun]") -> "tuple[Mapping[str, InQueue], str | None]":
    """The queue's jobs by run id. Where Slurm does not answer: no jobs and a sentence, and files tell the rest."""
    from slurm.queue.client import SlurmError
    from slurm.queue.states import Phase
    from slurm.queue_cache import jobs_of
    from sweeps.commands.status import InQueue, queued_for
    from sweeps.run_store.store import StoreError

    try:
        jobs = jobs_of(root.expanduser().resolve())
    except (SlurmError, StoreError) as error:
        return {}, f"What is in the queue is not known: {error}."
    found = {
        run_id: InQueue(
            job.id, job.state.phase is Phase.WAITING, job.is_held, "" if job.reason == "None" else job.reason, job.nodes
        )
        for run_id, job in jobs.items()
    }
    now = time.time()
    for run in runs:
        if run.run_id not in found and queued_for(run, now) > _UNSEEN_SECONDS and run.state.job is not None:
            found[run.run_id] = InQueue(run.state.job, True, False, _UNSEEN, "")
    return found, None


def _watch(targets: Sequence[str], where: Sequence[str], root: Path) -> None:
    from rich.live import Live
    from rich.text import Text

    from qae.console import terminal
    from sweeps.commands import status as standing

    console = terminal.console()
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                began = time.monotonic()
                runs = selected(root, targets, where)
                queue, doubt = _in_queue(root, runs)
                shown = standing.most_interesting(runs, max(1, console.height - 4))
                lines, missing = standing.table(shown, queue, room=terminal.width())
                lines += [line for line in (missing, standing.summary(runs, queue), doubt) if line]
                live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)
                if doubt is None and all(standing.is_over(run, queue.get(run.run_id)) for run in runs):
                    break
                # Thousands of state files take a while to read, and a file server has others to serve.
                time.sleep(max(_WATCH_SECONDS, 4 * (time.monotonic() - began)))
    except KeyboardInterrupt:
        click.echo("The runs go on.")
    if not console.is_terminal:
        click.echo()  # rich ends the last line on terminals only


def _note_cancelled(run: "StoredRun") -> None:
    """Write `cancelled` into the states of jobs that never started, as these write no state themselves."""
    from dataclasses import replace

    from qae.run_directory import RunStatus
    from sweeps.run_store.locking import AlreadyRunningError, exclusive

    waiting = (RunStatus.QUEUED, RunStatus.PREEMPTED)
    if run.state.status not in waiting:
        return
    with suppress(AlreadyRunningError), exclusive(run.directory):  # one that has started writes its own end
        state = run.directory.read_state()
        # One that says running has lost its node: its next attempt counts that.
        if state.status in waiting:
            cancelled = replace(state, status=RunStatus.CANCELLED, reason="cancelled while it waited")
            run.directory.write_state(cancelled)


def _stop_processes(runs: "Sequence[StoredRun]") -> tuple[int, list[str]]:
    """Ask runs of this machine to stop after the step; how many, and sentences on those that cannot be asked."""
    from qae.run_directory import RunStatus

    asked, refusals = 0, []
    for run in runs:
        state = run.state
        if state.status is not RunStatus.RUNNING or state.pid is None:
            continue
        if state.host != socket.gethostname():
            refusals.append(f"Run {run.run_id} runs on {state.host}, outside your queue; stop it there.")
            continue
        try:
            os.kill(state.pid, signal.SIGTERM)
            asked += 1
        except ProcessLookupError:
            continue  # it has just ended
        except PermissionError:
            refusals.append(f"Run {run.run_id} is another user's process {state.pid}; only they can stop it.")
    return asked, refusals
