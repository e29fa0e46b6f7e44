"""verl's real trainer on this machine, from `sweep.py` to figures, with real kills; minutes, not seconds."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from qae import metrics
from qae.config import AdvantageConfig
from qae.guard import decisions
from qae.run_directory import RunDirectory, RunStatus, read_evaluations, read_metrics
from sweeps.run_store.locking import is_locked
from sweeps.verl import checkpoints as verl_checkpoints
from sweeps.verl.checkpoints import resume_step
from sweeps.worker import best
from sweeps.worker.job import Exit
from tests import ROOT
from tests.support.configs import verl_mapping

pytestmark = pytest.mark.slow
MODEL = ("model=qwen3-random-tiny", "algorithm.quantile_k=0.4")
SHORT = (
    "trainer.total_training_steps=2",
    "trainer.test_freq=-1",
    "trainer.save_freq=1",
    "trainer.val_before_train=false",
)
LIMIT = 600
CLIPPED = (metrics.CLIP_FRACTION_POSITIVE, metrics.CLIP_FRACTION_NEGATIVE)
# verl sums a response's entropies in the model's precision, which rounds the sum by up to half of this share of it.
BFLOAT16 = 2**-8


def environment(runs: Path) -> dict[str, str]:
    return {**os.environ, "QAE_RUNS": str(runs), "WANDB_MODE": "offline", "COLUMNS": "160"}


def start(runs: Path, *overrides: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "sweep.py", *MODEL, *overrides],
        cwd=ROOT,
        env=environment(runs),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", starts: int = 1) -> tuple[int, str]:
    output, _ = process.communicate(timeout=starts * LIMIT)
    return process.returncode, output


def only_run(runs: Path) -> RunDirectory:
    (path,) = [path.parent for path in runs.glob("*/config.yaml")]
    return RunDirectory(path)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def steps(directory: RunDirectory) -> list[object]:
    return [record["step"] for record in read_metrics(directory).records]


def logged(runs: Path, step: int) -> Callable[[], bool]:
    return lambda: bool(list(runs.glob("*/metrics.jsonl"))) and step in steps(only_run(runs))


def processes(word: str, runs: Path) -> list[int]:
    """Pids of this run's processes whose command line or title has a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            variables = (path / "environ").read_bytes()
        except OSError:
            continue
        if word in command and str(runs).encode() in variables:
            found.append(int(path.name))
    return found


def check_evaluations(directory: RunDirectory, at: Sequence[int]) -> None:
    """Counts of 16 problems at each step, and pass@1 from them in the step's metrics."""
    rows = {row["step"]: row for row in read_metrics(directory).records}
    counts = read_evaluations(directory).records
    for step in at:
        own, row = [record for record in counts if record["step"] == step], rows[step]
        assert len(own) == 16
        assert all(record["n"] == 16 and record["data_set"] == "arithmetic" for record in own)
        accuracy = sum(int(str(record["c"])) for record in own) / (16 * 16)
        assert row["val/arithmetic/pass@1"] == pytest.approx(accuracy)
        assert row["val/overall/pass@1"] == pytest.approx(accuracy)
        bootstrap = [value for name, value in row.items() if name.endswith("/acc/mean@16")]
        assert bootstrap == [pytest.approx(accuracy)]


def check_metrics(row: Mapping[str, object]) -> None:
    """What every trained step logs."""
    for name in (metrics.ENTROPY, metrics.GRAD_NORM, metrics.LENGTH_MEAN, metrics.STEP_TIME, metrics.POLICY_LOSS):
        assert math.isfinite(float(str(row[name.name]))), name.name
    shares = (metrics.ZERO_FRACTION, metrics.POSITIVE_FRACTION, metrics.NEGATIVE_FRACTION)
    assert sum(float(str(row[share.name])) for share in shares) == pytest.approx(1)
    clipped = [float(str(row.get(sign.name, 0))) for sign in CLIPPED]
    assert all(0 <= share <= 1 for share in clipped)
    assert not [name for name in row if "qae_clip" in name]


def check_best(directory: RunDirectory, among: Sequence[int]) -> None:
    """The checkpoint of the best of these validations is kept, whole."""
    values = {
        row["step"]: float(str(row["val/overall/pass@1"]))
        for row in read_metrics(directory).records
        if row["step"] in among
    }
    expected = min(values, key=lambda step: (-values[step], int(str(step))))
    kept = best.read(directory)
    assert kept is not None
    assert (kept.step, kept.value) == (expected, values[expected])
    assert list(verl_checkpoints.complete(directory.best_checkpoint)) == [expected]


def test_verls_grpo_with_a_quantile_in_asynchronous_turns_goes_on_after_a_killed_worker(tmp_path: Path) -> None:
    """The estimator's name and the turns are verl's, K is kept by an entropy band, and Ctrl-C ends it."""
    runs = tmp_path / "runs"
    settings = (
        "regularizer=clip_cov",
        "algorithm.adv_estimator=grpo",
        "controller=entropy_band",
        "trainer.v1.trainer_mode=qae_colocate_async",
        *SHORT,
        "trainer.total_training_steps=40",
    )
    process = start(runs, *settings)
    wait_for(logged(runs, 1), "step 1")
    workers = processes("WorkerDict", runs)
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    code, output = finish(process)
    directory = only_run(runs)
    assert code == 1, output
    assert directory.read_state().status is RunStatus.FAILED
    assert "verl: " in str(directory.read_state().reason)
    reached = int(str(steps(directory)[-1]))
    assert reached < 40

    # No checkpoint is due, so the last one is the stop's.
    process = start(runs, *settings, "sweep.retry=true", "trainer.save_freq=-1")
    wait_for(logged(runs, reached + 1), f"step {reached + 1}")
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 130, output
    assert directory.read_state().status is RunStatus.CANCELLED
    last = int(str(steps(directory)[-1]))
    assert reached < last < 40
    assert steps(directory) == list(range(1, last + 1))
    assert resume_step(directory.checkpoints) == last
    assert not directory.stop_request.exists()

    rule = AdvantageConfig.from_mapping(verl_mapping(*MODEL, *settings)["algorithm"])  # type: ignore[arg-type]
    for row in read_metrics(directory).records:
        check_metrics(row)
        rule = rule.at_entropy(float(str(row[metrics.ENTROPY.name])))
        assert row[metrics.QUANTILE_K.name] == rule.adapted_k
        # Two of 8 scores lie no further apart than the root of 14 standard deviations.
        highest = max(float(str(row.get(sign.name, 0))) for sign in CLIPPED)
        assert abs(float(str(row[metrics.CLIP_DRIFT.name]))) <= highest * 14**0.5


def test_gspo_loses_no_step_to_a_killed_driver_and_its_guard_forks_it_to_another_k(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    # At step 2 entropy is above nothing.
    rule = ("steps=1", "start_steps=2", "ratio=1e-9", "action=fork", "fork_k=0.6")
    guarded = ("guard=entropy", "guard.drift=null", *(f"guard.explosion.{setting}" for setting in rule))
    of_run = ("trainer.total_training_steps=4", "trainer.save_freq=1")
    settings = ("regularizer=gspo", "checkpoints.keep_best=pass_at_1", *of_run, *guarded)
    process = start(runs, *settings)
    wait_for(lambda: any(is_locked(RunDirectory(path.parent)) for path in runs.glob("*/config.yaml")), "the worker")
    parent = only_run(runs)
    command = [
        sys.executable,
        "-c",
        "import sys; from sweeps.worker.job import run_in_worker; run_in_worker(sys.argv[1], 's', 9)",
    ]
    second = subprocess.run([*command, str(parent.path)], cwd=ROOT, check=False, timeout=600)
    assert second.returncode == Exit.RUNS_ELSEWHERE
    # At once, so that step 2 and the guard's decision are the second driver's.
    wait_for(logged(runs, 1), "step 1")
    (driver,) = processes("sweeps.verl.driver", runs)
    os.kill(driver, signal.SIGKILL)
    before = read_metrics(parent).records
    code, output = finish(process)
    assert code == 1, output
    assert "killed by SIGKILL" in output
    assert parent.read_state().status is RunStatus.PREEMPTED
    assert read_metrics(parent).records[: len(before)] == before
    wait_for(lambda: not processes("raylet", runs), "Ray to end with its driver")

    code, output = finish(start(runs, *settings), starts=2)
    assert code == 0, output
    found = {path.parent.name: RunDirectory(path.parent) for path in runs.glob("*/config.yaml")}
    (decision,) = decisions.read(parent).values()
    assert (decision.step, decision.first_step, decision.fork_step) == (2, 2, 1)
    assert f"run {decision.fork} goes on from step 1 with K = 0.6" in output

    state = parent.read_state()
    assert (state.status, state.step, state.attempt) == (RunStatus.STOPPED_BY_GUARD, 3, 2)
    assert steps(parent) == [0, 1, 2, 3]
    assert resume_step(parent.checkpoints) == 3
    fork = found[str(decision.fork)]
    state = fork.read_state()
    assert (state.status, state.step, state.attempt) == (RunStatus.DONE, 4, 1)
    assert steps(fork) == [0, 1, 2, 3, 4]
    rows = read_metrics(parent).records
    # Steps up to the checkpoint are not computed again.
    assert rows[:2] == before[:2] == read_metrics(fork).records[:2]
    # Its own guard fires at step 3, when the last step is under way.
    (late,) = decisions.read(fork).values()
    assert (late.step, late.action, late.overruled) == (3, "stop", True)
    assert state.reason is None
    assert "'quantile_k': 0.6" in fork.log(1).read_text()  # what verl says that it runs with

    for row in [*rows[1:], *read_metrics(fork).records[1:]]:
        check_metrics(row)
        own = row[metrics.ENTROPY_SEQUENCE.name]
        assert row[metrics.ENTROPY_LOSS_MEAN.name] == pytest.approx(own, rel=BFLOAT16)
        # Ratios of whole responses leave GSPO's narrow bounds in the second update.
        assert float(str(row[metrics.CLIP_FRACTION.name])) > 0
        assert any(float(str(row[sign.name])) > 0 for sign in CLIPPED)
        assert metrics.CLIP_DRIFT.name not in row
    check_evaluations(parent, (0, 2))
    check_evaluations(fork, (2, 4))
    check_best(parent, among=(2,))
    check_best(fork, among=(2, 4))
    for directory in (parent, fork):
        assert not directory.lease.exists()
        assert not directory.stop_request.exists()
        lines = [json.loads(line)["step"] for line in directory.tokens.read_text().splitlines()]
        assert lines == steps(directory)[1:]
        assert {path.name.rpartition("-")[2] for path in directory.path.glob("wandb/offline-run-*")} == {
            directory.run_id
        }
    assert list((runs / "figures").rglob("*.png")), output
