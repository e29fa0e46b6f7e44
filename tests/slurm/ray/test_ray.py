"""Ray over the nodes of a job, on a cluster whose nodes have a network of their own; verl trains across it."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from qae import metrics
from qae.run_directory import RunDirectory, RunState, RunStatus, read_metrics
from sweeps.verl.checkpoints import resume_step
from tests import ROOT
from tests.slurm.conftest import local_cluster
from tests.slurm.ray import ray_probe
from tests.slurm.test_faults import slurm, slurm_field, slurm_state

pytestmark = pytest.mark.slow

WAIT_SECONDS = 900  # a loaded machine needs five minutes for each start of verl
STEPS = 2
STARTED = "Ray runtime started."
TRAINED = (
    "model=qwen3-random-tiny",
    "algorithm.quantile_k=0.4",
    "regularizer=kl_cov",
    "tracking=none",
    "resources.nodes=2",
    "slurm.gres=gpu:h100:1",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=32",
    "ray_kwargs.ray_init.object_store_memory=150000000",
    f"trainer.total_training_steps={STEPS}",
    "trainer.test_freq=-1",
    "trainer.save_freq=1",
    "trainer.val_before_train=false",
)


def wait_for(what: Callable[[], object], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not what():
        assert time.monotonic() < deadline, told()
        time.sleep(0.2)


def over(job: str) -> bool:
    return slurm_state(job) not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")


def submit_probe(go: Path) -> str:
    """A job over both nodes, beside others, that looks at its Ray and keeps it until a file is there; its id."""
    options = ["--nodes=2", "--ntasks-per-node=1", f"--gpus-per-node={ray_probe.GPUS}", "--parsable"]
    script = (
        f"#!/bin/sh\ncd {ROOT}\nexport PYTHONPATH={ROOT}\nexec {sys.executable} -m tests.slurm.ray.ray_probe {go}\n"
    )
    return slurm("sbatch", *options, f"--output={go.with_name('slurm.out')}", text=script)


def processes(variable: str, command: str = "") -> list[int]:
    """Pids of those whose environment has a variable that starts so, and whose command line has these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (path / "environ").read_text(errors="replace").split("\0")
            words = (path / "cmdline").read_text(errors="replace").replace("\0", " ")
            if command in words and any(text.startswith(variable) for text in variables):
                found.append(int(path.name))
    return found


@dataclass(frozen=True)
class Played:
    """What became of two jobs on the same two nodes: one looks at its Ray, one trains, and loses the head of its Ray.

    Attributes:
        directory: the run that is trained.
        job: Slurm's id of its job.
        code: how sweep.py ended, which launched it.
        address: of its first head.
        lost: the run's state after that one was killed.
        terminated: processes of the other job that got TERM.
        seen: what it saw of its Ray.
        left: processes and folders of any Ray at the end.
    """

    directory: RunDirectory
    job: str
    code: int
    address: str
    lost: RunState
    terminated: int
    seen: dict[str, object]
    left: list[str]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("ray")
    settings = {"QAE_SLURM_HOME": "/var/lib/qae-slurm-ray", "QAE_SLURM_PORT": "20000"}
    with local_cluster({**settings, "NETNS": "1", "NODES": "2", "DBD": "0"}):
        yield play(folder)


def play(folder: Path) -> Played:
    runs, probing = folder / "runs", folder / "probe"
    probing.mkdir()
    go = probing / "go"
    environment = {**os.environ, "QAE_RUNS": str(runs), "COLUMNS": "160"}
    command = [sys.executable, "sweep.py", "-m", "hydra/launcher=slurm", *TRAINED]
    probe = submit_probe(go)
    with (folder / "sweep.out").open("w") as output:
        launcher = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:

        def told() -> str:
            return "\n".join([slurm("squeue"), *(path.read_text()[-3000:] for path in _texts(folder))])

        wait_for(lambda: any(log.read_text().count(STARTED) == 2 for log in runs.glob("*/logs/attempt-1.log")), told)
        (log,) = runs.glob("*/logs/attempt-1.log")
        address = re.search(r"ray start --address='([\d.:]+)'", log.read_text())
        assert address is not None
        directory = RunDirectory(log.parents[1])
        job, _, _ = str(directory.read_state().job).partition("_")
        (head,) = processes(f"SLURM_JOB_ID={job}", "/gcs_server ")
        os.kill(head, signal.SIGKILL)
        wait_for(lambda: directory.read_state().status is RunStatus.PREEMPTED, told)
        lost = directory.read_state()
        wait_for(lambda: go.with_name("looked").exists(), told)
        tasks = processes(f"SLURM_JOB_ID={probe}", f"{sys.executable} -m slurm.node.ray_node")
        terminated = [pid for pid in tasks if Path(f"/proc/{pid}/comm").read_text() != "srun\n"]  # it has the words too
        for pid in terminated:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: launcher.poll() is not None, told)
        go.touch()
        wait_for(lambda: all(over(known) for known in (job, probe)), told)
    finally:
        launcher.kill()
        launcher.wait()
    left = [*map(str, processes("QAE_RAY_FOLDER=")), *map(str, Path(tempfile.gettempdir()).glob("qae-ray-*"))]
    (seen,) = [json.loads(line) for line in (probing / "slurm.out").read_text().splitlines() if line.startswith("{")]
    return Played(directory, job, launcher.returncode, address[1], lost, len(terminated), seen, left)


def _texts(folder: Path) -> list[Path]:
    return [folder / "sweep.out", *folder.glob("probe/slurm.out"), *folder.glob("runs/*/logs/attempt-*.log")]


def test_one_ray_has_the_gpus_of_both_nodes_and_only_those_of_its_job(played: Played) -> None:
    assert played.seen["nodes"] == {"n1": ray_probe.GPUS, "n2": ray_probe.GPUS}
    tasks = cast("list[tuple[str, str, bool]]", played.seen["tasks"])
    assert sorted(node for node, _, _ in tasks) == ["n1", "n2"]
    assert [len(visible.split(",")) for _, visible, _ in tasks] == [ray_probe.GPUS] * 2
    assert not any(named_again for _, _, named_again in tasks)  # verl's workers refuse to be told the GPUs twice


def test_jobs_that_share_nodes_have_a_ray_each(played: Played) -> None:
    assert played.seen["address"] != played.address
    assert played.seen["refused"] is True  # without the token of its job nobody gets in


def test_ray_outlives_the_signal_of_a_preemption(played: Played) -> None:
    """TERM came to the one process on each node that Slurm knows as its task."""
    assert played.terminated == 2
    assert played.seen["lost"] is None


def test_a_run_whose_head_is_lost_goes_on_in_the_same_job(played: Played) -> None:
    assert played.lost.attempt == 1
    assert played.lost.reason == "Ray ended on n1 after step 0"
    state = played.directory.read_state()
    assert (state.attempt, state.job) == (2, f"{played.job}_0")
    assert slurm_field(played.job, "Restarts") == "1"


def test_verl_trains_across_the_nodes_and_leaves_a_whole_run_directory(played: Played) -> None:
    directory = played.directory
    assert played.code == 0
    assert directory.read_state().status is RunStatus.DONE
    assert slurm_state(played.job) == "COMPLETED"
    rows = read_metrics(directory).records
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for name in (metrics.ENTROPY, metrics.ZERO_FRACTION, metrics.GRAD_NORM):
        assert all(math.isfinite(float(str(row[name.name]))) for row in rows), name.name
    assert resume_step(directory.checkpoints) == STEPS
    ranks = sorted(path.name for path in directory.checkpoints.glob(f"global_step_{STEPS}/actor/model_world_size_*"))
    assert ranks == [f"model_world_size_2_rank_{rank}.pt" for rank in range(2)]  # one on each node
    for path in (directory.config, directory.provenance, directory.tokens, directory.logs / "attempt-2.log"):
        assert path.stat().st_size, path
    assert not directory.lease.exists()


def test_nothing_of_ray_remains(played: Played) -> None:
    assert played.left == []
