"""Batches: a job array is written down before sbatch is asked, so that nothing is submitted twice or forgotten.

``<root>/sweeps/batches/<batch id>.json`` names the runs of an array, and its job once sbatch has answered. The array's
name carries the batch's id: of a batch without a job, whose launcher died, Slurm says whether it was submitted.
"""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import orjson

from qae.run_directory import RunDirectory, write_atomic
from slurm.queue.client import QueuedJob
from slurm.queue.states import JobState, Phase
from sweeps.run_store.store import StoreError

_PREFIX = "qae-"


@dataclass(frozen=True)
class Batch:
    """A job array.

    Attributes:
        id: of the batch.
        sweep: name of the sweep.
        runs: run ids; the position is the array's index.
        code: the folder that its jobs run from.
        created: seconds since the epoch.
        job_id: Slurm's id of the array; None until sbatch has answered.
        options: of sbatch, for the reader.
    """

    id: str
    sweep: str
    runs: tuple[str, ...]
    code: str
    created: float
    job_id: str | None = None
    options: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def job_name(self) -> str:
        """What squeue and sacct know it by."""
        return f"{_PREFIX}{self.id}"


def new_id() -> str:
    """A batch id that no other batch has; they sort by time."""
    return f"{time.strftime('%y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class BatchStore:
    """The batches of a run store.

    Attributes:
        root: of the run store.
    """

    root: Path

    @property
    def folder(self) -> Path:
        """Where batches, their scripts and what their jobs print lie."""
        return self.root / "sweeps" / "batches"

    @property
    def lock(self) -> RunDirectory:
        """The directory whose lock and lease a submitting launcher holds; both work like a run's."""
        return RunDirectory(self.folder)

    def path(self, batch_id: str) -> Path:
        """The file of a batch."""
        return self.folder / f"{batch_id}.json"

    def script(self, batch_id: str) -> Path:
        """The script that sbatch was given."""
        return self.folder / f"{batch_id}.sh"

    def write(self, batch: Batch) -> None:
        """Write a batch, atomically."""
        write_atomic(self.path(batch.id), orjson.dumps(asdict(batch), option=orjson.OPT_INDENT_2))

    def read(self, batch_id: str) -> Batch:
        """Read a batch.

        Raises:
            FileNotFoundError: there is none of this id.
            StoreError: its file is damaged.
        """
        path = self.path(batch_id)
        try:
            values = orjson.loads(path.read_bytes())
            return Batch(**{**values, "runs": tuple(values["runs"])})
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is not a batch of jobs ({error!r}); move it away") from error

    def remove(self, batch: Batch) -> None:
        """Forget a batch that was never submitted."""
        self.path(batch.id).unlink(missing_ok=True)
        self.script(batch.id).unlink(missing_ok=True)

    def all(self) -> Iterator[Batch]:
        """Every batch, the oldest first.

        Raises:
            StoreError: a file is damaged.
        """
        for path in sorted(self.folder.glob("*.json")):
            if path.name != self.lock.lease.name:
                yield self.read(path.stem)

    def settle(self, found: Mapping[str, str]) -> Sequence[Batch]:
        """Record the jobs of batches whose launcher was killed before it could; returns the batches without a job.

        The caller holds the lock, so that no launcher is between writing a batch and its job.

        Args:
            found: ids of arrays by their names, of the queue and of accounting.
        """
        without = []
        for batch in self.all():
            if batch.job_id is not None:
                continue
            if (job := found.get(batch.job_name)) is not None:
                self.write(replace(batch, job_id=job))
            else:
                without.append(batch)
        return without

    def queued(self, jobs: Iterable[QueuedJob]) -> dict[str, QueuedJob]:
        """The jobs of this store's runs, by run id.

        Where a run has several, one that waits or runs stands before one that is ending.
        """
        runs_of: dict[str, tuple[str, ...] | None] = {}
        found: dict[str, QueuedJob] = {}
        for job in jobs:
            if job.index is None or not job.name.startswith(_PREFIX):
                continue
            if job.name not in runs_of:
                runs_of[job.name] = self._runs(job.name.removeprefix(_PREFIX))
            runs = runs_of[job.name]
            if runs is None or job.index >= len(runs):
                continue  # of another store
            earlier = found.get(runs[job.index])
            if earlier is None or _rank(job) < _rank(earlier):
                found[runs[job.index]] = job
        return found

    def _runs(self, batch_id: str) -> tuple[str, ...] | None:
        try:
            return self.read(batch_id).runs
        except FileNotFoundError:
            return None


def _rank(job: QueuedJob) -> int:
    ending = job.state is JobState.COMPLETING or job.state.phase is Phase.OVER
    return 2 if ending else 0 if job.state.phase is Phase.RUNNING else 1
