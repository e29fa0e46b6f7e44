"""`qae audit`: what is lost, doubled or half written in a store, and whether its cluster agrees."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qae.console.command_line import MistakeError, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qae.run_directory import RunDirectory, RunState
    from slurm.batches import Batch, BatchStore
    from slurm.queue.client import QueuedJob
    from sweeps.audit.finding import Finding
    from sweeps.audit.report import Audit
    from sweeps.audit.run import Queue
    from sweeps.run_store.store import RunStore

# A launcher says that a run is queued before it asks sbatch.
_SUBMISSION_SECONDS = 60.0


@dataclass(frozen=True)
class Cluster:
    """What a cluster says of a store.

    Attributes:
        queues: by run id, of the runs that have a job or said that they have one.
        findings: what is wrong with the store's jobs.
        doubt: why the cluster could not be asked, a sentence; empty where it answered or has no job of the store.
    """

    queues: "Mapping[str, Queue]"
    findings: "Sequence[Finding]" = field(default_factory=tuple)
    doubt: str = ""


@click.command(short_help="What of a store is lost, doubled or half written.")
@click.argument("store", required=False, type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Mend what changes no number, and say each thing done.")
@click.option("--checkpoints", is_flag=True, help="Read checkpoints whole and compare their checksums.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding, for scripts.")
def audit(store: Path | None, *, repair: bool, checkpoints: bool, as_json: bool) -> None:
    """Compare manifests, directories, checkpoints, W&B's files and Slurm's queue of STORE (default: $QAE_RUNS or runs).

    Exit status 1 where a number is lost, doubled or wrong; what may merely be tidied is a warning, and 0.
    """
    from sweeps.audit import report
    from sweeps.audit.store import is_store

    root = (store or Path(os.environ.get("QAE_RUNS", "runs"))).expanduser().resolve()
    if not is_store(root):
        raise MistakeError(f"{root} is no run store: it has neither runs nor sweeps; give the folder of sweep.root")
    cluster = ask(root)
    found = report.audit(root, cluster.queues, checksums=checkpoints)
    for finding in (*cluster.findings, *found.findings):
        click.echo(json.dumps(_as_json(finding))) if as_json else say(_line(finding))
    if repair:
        try:
            for sentence in report.repair(root, found, cluster.queues):
                say(sentence, err=as_json)
        except OSError as error:
            raise MistakeError(f"{root} cannot be mended: {error}") from error
    errors = found.errors + sum(finding.is_error for finding in cluster.findings)
    for sentence in _summary(found, cluster, errors, checkpoints=checkpoints):
        say(sentence, err=True)
    raise SystemExit(int(errors > 0))


def ask(root: Path) -> Cluster:
    """What the cluster says of a store's runs; it is asked only where the store has jobs.

    Args:
        root: of the store.
    """
    from qae.run_directory import RunStatus
    from slurm.batches import BatchStore
    from slurm.queue import client
    from sweeps.audit.run import Queue
    from sweeps.run_store.store import RunStore
    from sweeps.worker import forks

    store = RunStore(root)
    known, findings = _batches(BatchStore(root))
    unsettled = _unsettled(store)
    if not known and not any(state.status is RunStatus.QUEUED for state in unsettled.values()):
        return Cluster({}, findings)
    try:
        jobs = [job for job in client.queue() if job.name in known]
        queues = {run: Queue(job.id, True) for run, job in _by_run(jobs, known).items()}
        # The job of a run that its guard forked goes on with the fork.
        queues = {forks.last_of(store.directory(run)).run_id: queue for run, queue in queues.items()} | queues
        ends = _ends(store, known, {run: state for run, state in unsettled.items() if run not in queues})
    except client.SlurmError as error:
        return Cluster({}, findings, f"What is in the queue is not known: {error}.")
    return Cluster({**ends, **queues}, [*findings, *_doubled(jobs, known)])


def _batches(store: "BatchStore") -> "tuple[dict[str, Batch], list[Finding]]":
    """The batches of a store by the names of their arrays, and what cannot be read of them."""
    from sweeps.audit.finding import Kind, error
    from sweeps.run_store.store import StoreError

    known: dict[str, Batch] = {}
    findings = []
    for path in sorted(store.folder.glob("*.json")):
        if path.name == store.lock.lease.name:
            continue
        try:
            batch = store.read(path.stem)
        except FileNotFoundError:  # its launcher has just taken it back
            continue
        except StoreError as wrong:
            findings.append(error(Kind.MANIFEST, "", str(wrong)))
            continue
        known[batch.job_name] = batch
    return known, findings


def _by_run(jobs: "Sequence[QueuedJob]", known: "Mapping[str, Batch]") -> "dict[str, QueuedJob]":
    return {run: job for job in jobs if (run := _run_of(job, known)) is not None}


def _doubled(jobs: "Sequence[QueuedJob]", known: "Mapping[str, Batch]") -> "list[Finding]":
    """Runs that two jobs wait for or run; the second one finds the run's lock held, and does nothing."""
    from slurm.queue.states import JobState, Phase
    from sweeps.audit.finding import Kind, warning

    by_run: dict[str, list[str]] = {}
    for job in jobs:
        over = job.state is JobState.COMPLETING or job.state.phase is Phase.OVER
        if not over and (run := _run_of(job, known)) is not None:
            by_run.setdefault(run, []).append(job.id)
    return [
        warning(Kind.QUEUED_TWICE, run, f"the jobs {' and '.join(ids)} are both of it; `scancel {ids[-1]}` ends one")
        for run, ids in by_run.items()
        if len(ids) > 1
    ]


def _run_of(job: "QueuedJob", known: "Mapping[str, Batch]") -> str | None:
    runs = known[job.name].runs
    return runs[job.index] if job.index is not None and job.index < len(runs) else None


def _ends(store: "RunStore", known: "Mapping[str, Batch]", waiting: "Mapping[str, RunState]") -> "dict[str, Queue]":
    """What accounting says of runs that wait or run by their own word, and whose job the queue does not have."""
    from slurm.queue import client
    from sweeps.audit.run import Queue

    arrays = {state.job.partition("_")[0] for state in waiting.values() if state.job}
    names = sorted(name for name, batch in known.items() if batch.job_id in arrays)
    records = client.accounting(names, min(known[name].created for name in names)) if names else ()
    ended = {f"{record.array}_{record.index}": record for record in records}
    found = {}
    for run, state in waiting.items():
        record = ended.get(state.job or "")
        text = f"its job {state.job} {record.state.meaning}" if record else ""
        found[run] = Queue(None, not _is_being_submitted(store.directory(run)), text)
    return found


def _unsettled(store: "RunStore") -> "dict[str, RunState]":
    """Runs that wait or run by their own word."""
    from qae.run_directory import RunStatus

    found = {}
    for directory in store.runs():
        try:
            state = directory.read_state()
        except (OSError, ValueError):  # the audit of the run says it
            continue
        if state.status in (RunStatus.QUEUED, RunStatus.RUNNING):
            found[directory.run_id] = state
    return found


def _is_being_submitted(directory: "RunDirectory") -> bool:
    try:
        return time.time() - directory.state.stat().st_mtime < _SUBMISSION_SECONDS
    except OSError:
        return True


def _as_json(finding: "Finding") -> dict[str, object]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "run": finding.run or None,
        "sentence": finding.sentence,
        "repair": finding.mend,
    }


def _line(finding: "Finding") -> str:
    return f"{finding.severity}: {f'run {finding.run}: ' if finding.run else ''}{finding.sentence}"


def _summary(found: "Audit", cluster: Cluster, errors: int, *, checkpoints: bool) -> list[str]:
    from sweeps.launching.tables import count

    number = sum(found.statuses.values())
    stand = ", ".join(f"{runs} {status}" for status, runs in sorted(found.statuses.items()))
    warnings = len(found.findings) + len(cluster.findings) - errors
    judged = f"{count(errors, 'error')}, {count(warnings, 'warning')}."
    sentences = [f"{count(number, 'run')}{f': {stand}' if stand else ''}. {judged}"]
    if found.untracked:
        sentences.append(f"{count(found.untracked, 'run')} not compared with W&B: none of its files lie with them.")
    if cluster.doubt:
        sentences.append(cluster.doubt)
    if not checkpoints:
        sentences.append("Checkpoints were not read whole; --checkpoints compares their checksums.")
    return sentences
