"""What can be mended without changing a number, under the lock of the run that it is about."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from qae.run_directory import RunDirectory, RunStatus, write_atomic
from sweeps.audit.evidence import gather, old_temporaries
from sweeps.audit.finding import Finding, Mend
from sweeps.audit.run import Queue, check
from sweeps.run_store.locking import AlreadyRunningError, exclusive
from sweeps.worker.reasons import ExitReason
from sweeps.worker.state import counted


def mend_run(directory: RunDirectory, queue: Queue) -> list[str]:
    """Mend what may be mended of a run; a sentence for each thing done, or on why nothing was.

    Args:
        directory: the run. One that a process runs is left alone.
        queue: what its cluster says of it.

    Raises:
        OSError: the directory cannot be written.
    """
    try:
        with exclusive(directory, patience=0):
            # Looked at again: what was found without the lock may have been mended by an attempt since.
            findings = check(gather(directory, held=True), queue)
            return [_mended(directory, finding) for finding in findings if finding.mend is not None]
    except AlreadyRunningError:
        return [f"run {directory.run_id} is being run; left alone"]


def mend_store(root: Path, finding: Finding) -> Iterator[str]:
    """Remove what a killed writer left beside the runs, where nobody has touched it since; a sentence for it."""
    path = root / finding.path
    if finding.mend is Mend.REMOVE_TEMPORARY and path in old_temporaries(path.parent):
        _remove(path)
        yield f"removed {finding.path}"


def _mended(directory: RunDirectory, finding: Finding) -> str:
    path = directory.path / finding.path
    if finding.mend is Mend.MOVE_TORN_LINE:
        aside = _move_torn_line(path)
        return f"run {directory.run_id}: moved the torn line of {finding.path} to {aside.name}"
    if finding.mend is Mend.MARK_INTERRUPTED:
        state = replace(directory.read_state(), status=RunStatus.PREEMPTED)
        directory.write_state(counted(state, ExitReason.KILLED, "its process ended without a word"))
        return f"run {directory.run_id}: marked as interrupted"
    _remove(path)
    return f"run {directory.run_id}: removed {finding.path}"


def _move_torn_line(path: Path) -> Path:
    """Keep the bytes behind the last whole line in a file of their own, then cut them off."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    aside = path.with_name(f"{path.name}.torn")
    earlier = aside.read_bytes() if aside.exists() else b""
    write_atomic(aside, earlier + content[end:] + b"\n")
    with path.open("rb+") as file:
        file.truncate(end)
    return aside


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
