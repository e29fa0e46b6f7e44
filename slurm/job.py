"""The job body on a node: ``python -m slurm.job BATCH`` trains the run at this job's index in the batch.

The run directory says where to go on, so a job that Slurm starts again needs nothing else. TERM (preemption, scancel)
and USR2 (the time limit comes near) end it after the step, with a checkpoint.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import orjson
from omegaconf import OmegaConf

from qae.console import home
from qae.nested import value_of
from qae.run_directory import RunDirectory, RunStatus
from slurm import attempts
from slurm.node import ray_cluster
from slurm.node.own_job import OwnJob
from sweeps.composition.plain import plain
from sweeps.run_store.locking import LEASE_SECONDS, AlreadyRunningError, exclusive
from sweeps.worker.job import Exit, exit_code, run_with_fork, stop_requests
from sweeps.worker.place import Place
from sweeps.worker.reasons import ExitReason

# A node that fell silent may hold the run's lease for so long; its job is started on another one at once.
_PATIENCE_SECONDS = LEASE_SECONDS + 30.0
_RETRY_SECONDS = 1.0
# Whatever status a run has when its job starts, only what is settled by then is left alone.
_NONE_BEFORE = -1


class JobError(RuntimeError):
    """The job cannot train its run; its text is one sentence."""


def main(arguments: Sequence[str]) -> int:
    """Train the run of this job; the exit code, so that Slurm records as failed what failed."""
    home.settle()
    with stop_requests(signal.SIGTERM, signal.SIGINT, signal.SIGUSR2) as requests:
        try:
            job = _own_job(arguments)
            sweep, directory = _task(Path(arguments[0]), os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
            directory, status = _train(directory, sweep, job, requests)
        except AlreadyRunningError as error:
            _say(f"{error}, which goes on; this job has nothing to do")
            return Exit.ENDED
        except (JobError, OSError, ValueError) as error:
            _say(f"{error}; the run is left as it was, the same sweep command continues it")
            return Exit.FAILED
        if status is RunStatus.PREEMPTED and (refusal := _queue_again(directory, job)):
            _say(f"{refusal}; the same sweep command continues the run")
    return exit_code(status)


def _own_job(arguments: Sequence[str]) -> OwnJob:
    job = OwnJob.from_environment()
    if job is None or len(arguments) != 1:
        raise JobError("slurm.job is started by Slurm, with the file of a batch")
    return job


def _task(batch: Path, index: str) -> tuple[str, RunDirectory]:
    """The sweep's name and the run that an index of the batch stands for."""
    try:
        content = orjson.loads(batch.read_bytes())
        sweep, run_id = str(content["sweep"]), str(content["runs"][int(index)])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise JobError(f"{batch} does not say which run has index {index} ({error!r})") from error
    directory = RunDirectory(batch.absolute().parents[2] / run_id)  # <root>/sweeps/batches/<batch>
    if not directory.config.is_file():
        raise JobError(f"{directory.config} is not there or cannot be read")
    return sweep, directory


def _train(directory: RunDirectory, sweep: str, job: OwnJob, requests: Sequence[int]) -> tuple[RunDirectory, RunStatus]:
    """Train the run, then its fork if there is one; returns the directory of the last one and its final status."""
    allowed = _limits(directory)
    place = Place(
        job=job.id,
        node=job.node,
        # A process that dies ends its job: only where Slurm lost the node does the job start again without a word.
        lost=ExitReason.NODE_FAILURE if job.restarts else ExitReason.KILLED,
        why_stopped=lambda number: job.why_stopped(number == signal.SIGUSR2),
        goes_on=partial(attempts.goes_on, allowed=allowed),
        machines=ray_cluster.machines,
    )
    return run_with_fork(directory, sweep, _NONE_BEFORE, place, requests, partial(_held, requests=requests))


def _limits(directory: RunDirectory) -> dict[ExitReason, int | None]:
    return attempts.limits(value_of(plain(OmegaConf.load(directory.config), resolve=False), "slurm.attempts"))


@contextmanager
def _held(directory: RunDirectory, requests: Sequence[int]) -> Iterator[None]:
    """Hold the run's lock; wait for one that a lost node may hold."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with ExitStack() as lock:
            try:
                lock.enter_context(exclusive(directory))
            except AlreadyRunningError:
                if requests or time.monotonic() >= deadline:
                    raise
            else:
                yield
                return
        time.sleep(_RETRY_SECONDS)


def _queue_again(directory: RunDirectory, job: OwnJob) -> str | None:
    """Requeue the job if another attempt may help; returns None, or a sentence why it is not requeued."""
    state = directory.read_state()
    if not attempts.may_help(state, _limits(directory)):
        return f"the run was interrupted: {state.reason}"
    refusal = job.requeue()
    return f"Slurm does not queue the job again ({refusal})" if refusal else None


def _say(sentence: str) -> None:
    with suppress(OSError):  # the job's output may lie on the full disk
        print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
