"""The queue as commands see it: one call of squeue for all that ask within a few seconds, whatever process they are."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import orjson

from qae.run_directory import write_atomic
from slurm.batches import BatchStore
from slurm.queue import client
from slurm.queue.client import QueuedJob
from slurm.queue.states import JobState

FRESH_SECONDS = 5.0


def jobs_of(root: Path, *, fresh: bool = False) -> Mapping[str, QueuedJob]:
    """Jobs that wait or run, by run id; nothing is asked where the store never had a batch.

    Args:
        root: of the run store.
        fresh: whether to ask squeue in any case.

    Raises:
        SlurmError: squeue failed, which says nothing about any job.
    """
    batches = BatchStore(root)
    if not batches.folder.is_dir():
        return {}
    path = root / "sweeps" / f".queue-{os.geteuid()}"
    if not fresh and (jobs := _remembered(path)) is not None:
        return batches.queued(jobs)
    with _turn(path.with_name(f"{path.name}.lock")):
        # Somebody may have asked while this one waited for its turn.
        jobs = None if fresh else _remembered(path)
        if jobs is None:
            jobs = client.queue()
            content = {"time": time.time(), "jobs": [asdict(job) | {"state": job.state.name} for job in jobs]}
            with suppress(OSError):  # somebody else's store, or a full disk: the next one asks again
                write_atomic(path, orjson.dumps(content))
    return batches.queued(jobs)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Let processes ask one at a time; where no lock can be had, they ask at once."""
    with ExitStack() as stack:
        with suppress(OSError):
            file = stack.enter_context(path.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remembered(path: Path) -> Sequence[QueuedJob] | None:
    try:
        content = orjson.loads(path.read_bytes())
        if not 0 <= time.time() - content["time"] < FRESH_SECONDS:
            return None
        return [QueuedJob(**{**job, "state": JobState.parse(job["state"])}) for job in content["jobs"]]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
