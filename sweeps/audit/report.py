"""An audit of a whole store: every run, many at a time, then what lies between runs."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qae.files import layout
from qae.run_directory import RunState, RunStatus
from sweeps.audit import store as between
from sweeps.audit.evidence import Evidence, gather
from sweeps.audit.finding import Finding, Kind, Severity, error
from sweeps.audit.repair import mend_run, mend_store
from sweeps.audit.run import NOT_ASKED, Queue, check
from sweeps.run_store.store import RunStore

# A second process pays off from here on.
_MANY_RUNS = 500
_RUNS_A_PART = 50


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        findings: errors first, then by run.
        statuses: how many runs stand where.
        untracked: how many runs have no files of W&B's here, so that they were compared with none.
    """

    findings: tuple[Finding, ...]
    statuses: Mapping[str, int] = field(default_factory=dict)
    untracked: int = 0

    @property
    def errors(self) -> int:
        """How many findings say that a number is lost, doubled or wrong."""
        return sum(finding.is_error for finding in self.findings)


@dataclass(frozen=True)
class _OfRun:
    findings: tuple[Finding, ...]
    status: str
    tracked: bool


def audit(root: Path, queues: Mapping[str, Queue], *, checksums: bool = False) -> Audit:
    """Audit a store; nothing in it is changed.

    Args:
        root: of the store.
        queues: what a cluster says of runs, by run id.
        checksums: whether to read checkpoints whole and to compare their checksums.
    """
    contents = between.look(RunStore(root))
    found = list(_of_runs(root, {run: queues.get(run, NOT_ASKED) for run in contents.runs}, checksums=checksums))
    findings = [*between.check(contents), *(finding for each in found for finding in each.findings)]
    order = list(Severity)
    return Audit(
        tuple(sorted(findings, key=lambda finding: (order.index(finding.severity), finding.run))),
        Counter(each.status for each in found),
        sum(not each.tracked for each in found),
    )


def repair(root: Path, found: Audit, queues: Mapping[str, Queue]) -> Iterator[str]:
    """Mend what may be mended; a sentence for each thing done, once it is done.

    Raises:
        OSError: the store cannot be written.
    """
    mendable = [finding for finding in found.findings if finding.mend is not None]
    for run in dict.fromkeys(finding.run for finding in mendable if finding.run):
        yield from mend_run(RunStore(root).directory(run), queues.get(run, NOT_ASKED))
    for finding in mendable:
        if not finding.run:
            yield from mend_store(root, finding)


def _of_runs(root: Path, queues: Mapping[str, Queue], *, checksums: bool) -> Iterator[_OfRun]:
    look = partial(_of_run, root, checksums=checksums)
    processes = len(os.sched_getaffinity(0))
    if len(queues) < _MANY_RUNS or processes == 1:
        yield from map(look, queues, queues.values())
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(look, queues, queues.values(), chunksize=_RUNS_A_PART)


def _of_run(root: Path, run: str, queue: Queue, *, checksums: bool) -> _OfRun:
    directory = RunStore(root).directory(run)
    try:
        layout.read(directory.path)
        evidence = gather(directory, checksums=checksums)
    except layout.LayoutError as wrong:  # whatever else looks wrong may be right in that layout
        return _OfRun((error(Kind.LAYOUT, run, str(wrong)),), "unreadable", tracked=False)
    except OSError as wrong:
        text = f"its directory cannot be read ({wrong.filename}: {wrong.strerror}); give yourself the right to read it"
        return _OfRun((error(Kind.STATE, run, text),), "unreadable", tracked=False)
    return _OfRun(tuple(check(evidence, queue)), _status(evidence, queue), evidence.tracked is not None)


def _status(evidence: Evidence, queue: Queue) -> str:
    state = evidence.state
    if isinstance(state, str):
        return "unreadable"
    if evidence.live:
        return RunStatus.RUNNING.shown
    if queue.job is not None and not (state and state.status.is_final):
        return RunStatus.QUEUED.shown
    state = state or RunState()
    if state.status is RunStatus.PLANNED:
        return "never started"
    # It says running and does not run.
    return (RunStatus.PREEMPTED if state.status is RunStatus.RUNNING else state.status).shown
