"""Slurm's commands: what is in the queue, what became of jobs, and what is asked of it.

A command that fails is a `SlurmError` with one sentence. That Slurm does not answer says nothing about a job.
"""

import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from submitit.helpers import clean_env
from submitit.slurm.slurm import read_job_id

from slurm.queue.states import JobState, Phase
from sweeps.launching.executor import ExecutorError

_ANSWER_SECONDS = 120.0
_UNAVAILABLE = re.compile(
    r"Unable to contact slurm controller|[Cc]onnection refused|Socket timed out|[Cc]onnection failure"
    r"|[Cc]onnect failure|Zero Bytes were transmitted|Connection (?:timed out|reset)|temporarily unable to accept"
    r"|No route to host|controller is in standby|Resource temporarily unavailable|Unexpected message received"
)
_FULL = re.compile(r"job submit limit|SubmitJobs|MaxSubmit|[Jj]ob queue full|QOSMaxSubmit|AssocMaxSubmit|MaxJobCount")
_HELD = re.compile(r"held|Held|HOLD")


class SlurmError(ExecutorError):
    """Slurm refused something; its text is one sentence."""


class UnavailableError(SlurmError):
    """Slurm does not answer for now; it may have done what it was asked to do."""


class QueueFullError(SlurmError):
    """No more jobs are taken from this user for now."""


@dataclass(frozen=True)
class QueuedJob:
    """An element of a job array in the queue.

    Attributes:
        array: id of its array, as scontrol takes it.
        index: its index; None for a job that is no array.
        state: see `JobState`.
        reason: why it waits, in Slurm's words.
        nodes: where it runs, empty before.
        account: that pays for it.
        name: the array's.
    """

    array: str
    index: int | None
    state: JobState
    reason: str
    nodes: str
    account: str
    name: str

    @property
    def id(self) -> str:
        """As Slurm's commands take it."""
        return self.array if self.index is None else f"{self.array}_{self.index}"

    @property
    def is_held(self) -> bool:
        """Whether it waits for somebody to release it."""
        return self.state.phase is Phase.WAITING and bool(_HELD.search(f"{self.state.name} {self.reason}"))


@dataclass(frozen=True)
class AccountedJob:
    """What accounting says of an element of a job array.

    Attributes:
        array, index: see `QueuedJob`.
        name: the array's.
        state: see `JobState`; what is over here may be in the queue again.
        text: the state in Slurm's words, with who cancelled it.
        exit_code: the job's, ``code:signal``.
        nodes: where it ran.
    """

    array: str
    index: int | None
    name: str
    state: JobState
    text: str
    exit_code: str
    nodes: str


@dataclass(frozen=True)
class Limits:
    """What a cluster takes at once.

    Attributes:
        array: elements of a job array, and one more than the highest index.
        submit: jobs that the user may have in the queue; None where nothing says so.
        account: whose jobs count; None: all of the user's.
    """

    array: int
    submit: int | None
    account: str | None = None


def queue() -> Sequence[QueuedJob]:
    """The user's jobs that wait or run, by one call of squeue.

    Raises:
        SlurmError: squeue failed, which says nothing about any job.
    """
    output = _ask("squeue", "--noheader", "--array", f"--user={os.geteuid()}", "--format=%F|%K|%T|%r|%N|%a|%j")
    return list(_queued(output))


def accounting(names: Sequence[str], since: float) -> Sequence[AccountedJob]:
    """How the arrays of these names ended, from one call of sacct; empty without accounting.

    Args:
        names: of jobs.
        since: seconds since the epoch before which none was submitted.
    """
    if not names:
        return []
    start = datetime.fromtimestamp(since - 3600).strftime("%Y-%m-%dT%H:%M:%S")  # noqa: DTZ006  # sacct takes local time
    options = ("--noheader", "--parsable2", "--allocations", f"--name={','.join(names)}", f"--starttime={start}")
    try:
        output = _ask("sacct", *options, "--format=JobID,State,ExitCode,NodeList,JobName")
    except SlurmError:
        return []  # it refines what the queue and the run directories say, and decides nothing
    return list(_accounted(output))


def submit(script: Path, options: Sequence[str], lock: int) -> str:
    """Have sbatch take a script.

    sbatch goes on where this process is killed: it holds the lock until it has ended, and does not get the terminal's
    Ctrl-C.

    Args:
        script: with the same options.
        options: of sbatch; here they stand above variables such as ``SBATCH_PARTITION``.
        lock: descriptor of an open lock file.

    Returns:
        the job's id.

    Raises:
        QueueFullError: the user's or the cluster's limit of jobs is reached.
        UnavailableError: no answer; the job may have been taken.
        SlurmError: a refusal.
    """
    output = _ask("sbatch", "--parsable", *options, str(script), environment=_environment(), lock=lock)
    job, _, _ = output.strip().splitlines()[-1].partition(";") if output.strip() else ("", "", "")
    if not job.isdecimal():
        raise UnavailableError(f"sbatch answered {output.strip()!r} instead of the job's id")
    return job


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs, or elements of arrays.

    Raises:
        SlurmError: scancel failed.
    """
    if jobs:
        _ask("scancel", *jobs)


def requeue(job: str) -> None:
    """Have a running job queued again.

    Raises:
        SlurmError: scontrol failed.
    """
    _ask("scontrol", "requeue", job)


def release(job: str) -> None:
    """Let a held job start.

    Raises:
        SlurmError: scontrol failed.
    """
    _ask("scontrol", "release", job)


def throttle(array: str, side_by_side: int | None) -> None:
    """Change how many elements of an array may run side by side; None: all.

    Raises:
        SlurmError: scontrol failed.
    """
    _ask("scontrol", "update", f"JobId={array}", f"ArrayTaskThrottle={side_by_side or 0}")


def limits(account: str | None = None, qos: str | None = None) -> Limits:
    """What the cluster takes at once.

    Args:
        account: of the jobs; None for the user's default.
        qos: of the jobs; None for the default.

    Raises:
        SlurmError: the controller does not answer.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.MULTILINE)
    account = account or _default_account()
    return Limits(array=max(1, int(found[1])) if found else 1, submit=_submit_limit(account, qos), account=account)


def partitions() -> Sequence[str]:
    """Names of the partitions; empty where Slurm does not say."""
    try:
        return sorted(set(_ask("sinfo", "--noheader", "--format=%R").split()))
    except SlurmError:
        return []


def _default_account() -> str | None:
    try:
        user = f"name={pwd.getpwuid(os.geteuid()).pw_name}"
        return _ask("sacctmgr", "-nP", "show", "user", "where", user, "format=defaultaccount").strip() or None
    except (SlurmError, KeyError):
        return None


def _submit_limit(account: str | None, qos: str | None) -> int | None:
    found: list[int] = []
    try:
        user = f"user={pwd.getpwuid(os.geteuid()).pw_name}"
        rows = _ask("sacctmgr", "-nP", "show", "assoc", "where", user, "format=account,defaultqos,maxsubmit,grpsubmit")
        for row in rows.splitlines():
            name, default_qos, *numbers = row.split("|")
            if account in (None, name):
                found += [int(number) for number in numbers if number.isdecimal()]
                qos = qos or default_qos or None
        if qos:
            rows = _ask("sacctmgr", "-nP", "show", "qos", "where", f"name={qos}", "format=maxsubmitpu,grpsubmit")
            found += [int(number) for number in re.split(r"[|\n]", rows) if number.isdecimal()]
    except (SlurmError, KeyError):
        return None  # no accounting: sbatch says when it is too much
    return min(found, default=None)


def _queued(output: str) -> Iterator[QueuedJob]:
    for line in output.splitlines():
        array, index, state, reason, nodes, account, name = line.split("|", 6)
        number = int(index) if index.isdecimal() else None
        yield QueuedJob(array, number, JobState.parse(state), reason, nodes, account, name)


def _accounted(output: str) -> Iterator[AccountedJob]:
    for line in output.splitlines():
        job, state, exit_code, nodes, name = line.split("|", 4)
        try:
            parts = read_job_id(job)  # waiting elements stand together: 12_[3-7,9%2]
        except ValueError:
            continue  # too many to be printed whole: 12_[0-999,...]
        for array, *span in parts:
            indices = range(int(span[0]), int(span[-1]) + 1) if span else (None,)
            for index in indices:
                yield AccountedJob(array, index, name, JobState.parse(state), state, exit_code, nodes)


def _environment() -> Mapping[str, str]:
    """This environment without the variables that a job would pass on to a job that it submits."""
    ours = {name: value for name, value in os.environ.items() if name == "SLURM_CONF" or name.startswith("SBATCH_")}
    with clean_env():
        return {**os.environ, **ours}


def _ask(command: str, *arguments: str, environment: Mapping[str, str] | None = None, lock: int | None = None) -> str:
    """What a command prints.

    Raises:
        SlurmError: it is not there, did not answer, or failed.
    """
    try:
        ended = subprocess.run(  # noqa: S603  # no shell; values are arguments of their own
            [command, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=_ANSWER_SECONDS,
            env=environment,
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SlurmError(f"{command} is not in PATH: launch on a login node of a Slurm cluster") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{command} did not answer within {_ANSWER_SECONDS:.0f} s") from None
    if ended.returncode == 0:
        return ended.stdout
    raise _error(command, ended.stderr)


def _error(command: str, stderr: str) -> SlurmError:
    """What a command complained of, in a sentence."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    complaints = [line for line in lines if not line.startswith("Try ")] or ["it failed without a word"]
    last = re.sub(r"^(?:\w+: )?(?:error: |fatal: )?(?:Batch job submission failed: )?", "", complaints[-1])
    kind = SlurmError
    if _FULL.search(stderr):
        kind = QueueFullError
    elif _UNAVAILABLE.search(stderr):
        kind = UnavailableError
    return kind(f"{command}: {last}")
