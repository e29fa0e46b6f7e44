"""Slurm's commands on a real cluster: asked, answered, refused."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slurm.queue import client
from slurm.queue.client import QueuedJob, SlurmError, UnavailableError
from slurm.queue.states import JobState, Phase
from slurm.request import pace_of, request_of
from slurm.script import Array, sbatch_quoted
from tests.slurm.conftest import Cluster
from tests.slurm.rules.test_time_limit import planned

PRINTABLE = "".join(map(chr, range(32, 127)))


@pytest.fixture
def submit(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., str]]:  # noqa: ARG001
    """Submits arrays of sleeping jobs, which are cancelled at the end."""
    jobs: list[str] = []

    def ask(*options: str, script: str = "#!/bin/sh\nsleep 300\n") -> str:
        path = tmp_path / "job.sh"
        path.write_text(script)
        with (tmp_path / "lock").open("w") as lock:
            job = client.submit(path, ["--output=/dev/null", *options], lock.fileno())
        jobs.append(job)
        return job

    yield ask
    client.cancel(jobs)


def queued(array: str) -> list[QueuedJob]:
    return sorted((job for job in client.queue() if job.array == array), key=lambda job: job.index or 0)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}: {client.queue()}"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_throttle_holds_and_is_changed_live_and_accounting_names_each_element(submit: Callable[..., str]) -> None:
    since = time.time()
    array = submit("--array=0-1%1", "--job-name=qae-throttled")

    def phases() -> list[Phase]:
        return [job.state.phase for job in queued(array)]

    wait_for(lambda: sorted(phases()) == [Phase.RUNNING, Phase.WAITING], "one of two to run")
    assert [(job.index, job.name, job.id) for job in queued(array)] == [
        (0, "qae-throttled", f"{array}_0"),
        (1, "qae-throttled", f"{array}_1"),
    ]
    assert [job.reason for job in queued(array) if job.state.phase is Phase.WAITING] == ["JobArrayTaskLimit"]
    client.throttle(array, None)
    wait_for(lambda: phases() == [Phase.RUNNING, Phase.RUNNING], "both to run")
    client.cancel([f"{array}_0"])
    wait_for(lambda: [job.index for job in queued(array)] == [1], "one to be cancelled")

    def accounted() -> dict[int | None, JobState]:
        return {job.index: job.state for job in client.accounting(["qae-throttled"], since) if job.array == array}

    wait_for(lambda: accounted() == {0: JobState.CANCELLED, 1: JobState.RUNNING}, "accounting")


@pytest.mark.slow
def test_a_held_job_is_seen_as_such_until_it_is_released(submit: Callable[..., str]) -> None:
    array = submit("--hold", "--array=0")
    (job,) = queued(array)
    assert job.is_held
    client.release(job.id)
    wait_for(lambda: [job.state for job in queued(array)] == [JobState.RUNNING], "it to run")
    assert not queued(array)[0].is_held
    client.requeue(job.id)
    wait_for(lambda: [job.state.phase for job in queued(array)] == [Phase.WAITING], "it to be queued again")


@pytest.mark.slow
def test_sbatch_reads_every_character_of_an_option_line(submit: Callable[..., str]) -> None:
    script = f"#!/bin/sh\n#SBATCH {sbatch_quoted('--comment=' + PRINTABLE)}\nsleep 1\n"
    array = submit("--hold", script=script)
    said = subprocess.run(
        ["squeue", "--noheader", f"--job={array}", "--format=%k"], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip("\n") == PRINTABLE


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--partition=nope", "Invalid partition name specified"),
        ("--account=nope", "Invalid account or account/partition combination specified"),
        ("--qos=nope", "Invalid qos specification"),
        ("--constraint=nope", "Invalid feature specification"),
        ("--gres=gpu:99", "Requested node configuration is not available"),
        ("--nosuch=1", "unrecognized option '--nosuch=1'"),
    ],
)
def test_a_refusal_is_one_sentence(submit: Callable[..., str], option: str, says: str) -> None:
    with pytest.raises(SlurmError) as refused:
        submit(option)
    assert not isinstance(refused.value, UnavailableError)
    assert str(refused.value) == f"sbatch: {says}"


def test_the_limits_are_those_of_the_cluster(cluster: Cluster) -> None:  # noqa: ARG001
    config = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in config.splitlines() if line.startswith("MaxArraySize")]
    assert client.limits().array == int(line.split("=")[1])
    assert "low" in client.partitions()


def test_every_state_that_squeue_knows_is_classified(cluster: Cluster) -> None:  # noqa: ARG001
    """It names them where it is asked for one that does not exist."""
    said = subprocess.run(["squeue", "--states=NOSUCH"], capture_output=True, text=True, check=False).stderr
    known = said.partition("states include: ")[2].split()[0].rstrip(".").split(",")
    assert "NODE_FAIL" in known
    assert not [word for word in known if JobState.parse(word) is JobState.UNKNOWN]


def test_no_slurm_here_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SlurmError, match="squeue is not in PATH"):
        client.queue()
    assert client.accounting(["qae-x"], 0.0) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "gpus", "whole"),
    [("qwen3-8b-base", 8, True), ("qwen3-8b-base-8gpus", 8, True), ("qwen3-8b-base-4gpus", 4, False)],
)
def test_slurm_takes_what_a_model_on_gpus_asks_for(
    cluster: Cluster,  # noqa: ARG001
    tmp_path: Path,
    model: str,
    gpus: int,
    whole: bool,
) -> None:
    """As docs/gpu_first_run.md has its readers ask; the cluster's nodes have less memory than those of the models."""
    memory = [] if whole else ["resources.memory=1G"]
    run = planned("site=local", f"model={model}", *memory)
    script = tmp_path / "job.sh"
    request = request_of(run.config, pace_of(run))
    script.write_text(Array("qae-test", 1, tmp_path / "sweeps" / "batches" / "b.json", tmp_path, request).script())
    command = ["sbatch", "--test-only", str(script)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert "to start at" in asked.stderr
    refused = subprocess.run(
        [*command[:2], f"--gpus-per-node={gpus + 1}", command[2]], capture_output=True, check=False
    )
    assert whole == (refused.returncode != 0)
