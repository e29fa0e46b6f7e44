"""The checkpoint of the best validation: chosen by what a run logs, whole across kills, with and without links."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from qae import metrics
from qae.errors import ConfigError
from qae.run_directory import JsonlWriter, RunDirectory, RunStatus, read_metrics
from sweeps.launching.needs import disk_bytes
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import RunStore
from sweeps.worker import best, run_checks
from sweeps.worker.attempt import run_job
from sweeps.worker.best import BestCheckpoint
from tests.support.configs import QUICK, embedded_mapping

PASS_AT_1 = metrics.pass_at(1).name
KEPT = "checkpoints.keep_best=pass_at_1"
VERL: dict[str, object] = {
    "backend": "verl",
    "actor_rollout_ref": {"model": {"path": "Qwen/Qwen3-8B-Base"}},
    "trainer": {"max_actor_ckpt_to_keep": 2},
    "resources": {"gpus_per_node": 8, "nodes": 1},
}


def verls(tmp_path: Path) -> tuple[dict[str, object], RunDirectory]:
    """A run of verl without verl: its checkpoints are made by hand."""
    return VERL | {"checkpoints": {"keep_best": "pass_at_1"}}, RunDirectory(tmp_path / "run")


def save(directory: RunDirectory, step: int) -> None:
    """A checkpoint as verl leaves it; of those before only one stays."""
    folder = directory.checkpoints / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "actor" / "model.pt").write_text(f"weights of step {step}")
    # An empty zip archive: how torch's files end.
    (folder / "data.pt").write_bytes(b"PK\x05\x06" + 18 * b"\0")
    for old in sorted(directory.checkpoints.iterdir(), key=lambda path: int(path.name.rpartition("_")[2]))[:-2]:
        for file in (*old.rglob("*.pt"),):
            file.unlink()
        (old / "actor").rmdir()
        old.rmdir()


def log(directory: RunDirectory, step: int, value: float) -> dict[str, float]:
    with JsonlWriter(directory.metrics) as lines:
        lines.append({"step": step, PASS_AT_1: value})
    return {PASS_AT_1: value}


def weights(directory: RunDirectory) -> dict[str, str]:
    """Content of each checkpoint that is kept as the best."""
    found = directory.best_checkpoint.glob("global_step_*/actor/model.pt")
    return {path.parent.parent.name: path.read_text() for path in found}


def test_the_best_stays_when_the_trainer_removes_it(tmp_path: Path) -> None:
    config, directory = verls(tmp_path)
    keeper = BestCheckpoint(config, directory)
    for step, value in enumerate([0.1, 0.4, 0.4, 0.3, 0.2, 0.1], start=1):
        save(directory, step)
        keeper.step(step, log(directory, step, value))
    assert not (directory.checkpoints / "global_step_2").exists()
    # Of two that are equal the earlier one.
    assert weights(directory) == {"global_step_2": "weights of step 2"}
    assert best.read(directory) == best.Best(2, PASS_AT_1, 0.4)
    save(directory, 7)
    keeper.step(7, log(directory, 7, 0.5))
    assert weights(directory) == {"global_step_7": "weights of step 7"}


def test_steps_without_a_checkpoint_a_validation_or_a_number_do_not_count(tmp_path: Path) -> None:
    config, directory = verls(tmp_path)
    keeper = BestCheckpoint(config, directory)
    keeper.step(1, log(directory, 1, 0.9))  # no checkpoint ever comes
    save(directory, 2)
    keeper.step(2, {"actor/entropy": 1.0})
    save(directory, 3)
    keeper.step(3, {PASS_AT_1: float("nan")})
    assert weights(directory) == {}
    (directory.checkpoints / "global_step_4" / "actor").mkdir(parents=True)  # unfinished
    keeper.step(4, log(directory, 4, 0.5))
    assert weights(directory) == {}
    save(directory, 5)
    keeper.step(5, log(directory, 5, 0.2))
    assert weights(directory) == {"global_step_5": "weights of step 5"}


def test_a_checkpoint_that_comes_after_its_step_was_logged_counts(tmp_path: Path) -> None:
    config, directory = verls(tmp_path)
    keeper = BestCheckpoint(config, directory)
    keeper.step(1, log(directory, 1, 0.2))
    save(directory, 1)
    keeper.look()
    assert weights(directory) == {"global_step_1": "weights of step 1"}


def test_another_attempt_knows_the_best_and_what_was_not_looked_at(tmp_path: Path) -> None:
    config, directory = verls(tmp_path)
    keeper = BestCheckpoint(config, directory)
    save(directory, 1)
    keeper.step(1, log(directory, 1, 0.4))
    save(directory, 2)
    log(directory, 2, 0.6)  # killed before the job has read the line
    after = BestCheckpoint(config, directory)
    save(directory, 3)
    after.step(3, log(directory, 3, 0.5))
    assert weights(directory) == {"global_step_2": "weights of step 2"}
    # Another metric begins anew.
    of_16 = VERL | {"checkpoints": {"keep_best": "pass_at_16"}}
    save(directory, 4)
    BestCheckpoint(of_16, directory).step(4, {metrics.pass_at(16).name: 0.1})
    assert weights(directory) == {"global_step_4": "weights of step 4"}


def test_a_kill_while_it_is_kept_loses_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, directory = verls(tmp_path)
    keeper = BestCheckpoint(config, directory)
    save(directory, 1)
    keeper.step(1, log(directory, 1, 0.4))
    save(directory, 2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(best, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            keeper.step(2, log(directory, 2, 0.5))
    assert weights(directory)["global_step_1"] == "weights of step 1"
    BestCheckpoint(config, directory).look()
    assert weights(directory) == {"global_step_2": "weights of step 2"}


def test_without_links_files_are_copied_and_a_full_disk_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config, directory = verls(tmp_path)

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", refused)
    keeper = BestCheckpoint(config, directory)
    save(directory, 1)
    keeper.step(1, log(directory, 1, 0.4))
    assert weights(directory) == {"global_step_1": "weights of step 1"}
    save(directory, 2)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy2", full)
        keeper.step(2, log(directory, 2, 0.5))
    assert "step 2" in caplog.text
    assert "No space left" in caplog.text
    assert weights(directory) == {"global_step_1": "weights of step 1"}


@pytest.mark.slow
def test_a_run_keeps_its_best_checkpoint(tmp_path: Path) -> None:
    config = embedded_mapping(*QUICK, "tracking.backend=none", KEPT)
    directory = RunStore(tmp_path / "runs").create(run_id(config), config)
    assert run_job(directory, "s", []) is RunStatus.DONE
    values = {int(str(line["step"])): line[PASS_AT_1] for line in read_metrics(directory).records if PASS_AT_1 in line}
    saved = {step: float(str(value)) for step, value in values.items() if step in (2, 4, 6)}
    expected = min(saved, key=lambda step: (-saved[step], step))
    assert best.read(directory) == best.Best(expected, PASS_AT_1, saved[expected])
    assert [path.name for path in directory.best_checkpoint.glob("*.pt")] == [f"step-{expected:06d}.pt"]
    # How checkpoints are kept changes no number.
    assert run_id(config) == run_id(embedded_mapping(*QUICK, "tracking.backend=none"))


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (("checkpoints.keep_best=pass@1",), "checkpoints.keep_best"),
        (("checkpoints.keep_best=pass_at_4",), "checkpoints.keep_best"),
        (("checkpoints.keep_best=true",), "checkpoints.keep_best"),
        ((KEPT, "trainer.save_freq=-1"), "trainer.save_freq"),
        ((KEPT, "trainer.test_freq=0"), "trainer.test_freq"),
        (("checkpoints.keep_best=pass_at_16", "actor_rollout_ref.rollout.val_kwargs.n=8"), "checkpoints.keep_best"),
    ],
)
def test_a_choice_that_keeps_nothing_is_refused(overrides: tuple[str, ...], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        run_checks.check(embedded_mapping(*QUICK, *overrides))
    assert refused.value.key == key


def test_the_plan_counts_its_disk() -> None:
    one = 8 * 10**9 * 12
    assert disk_bytes(VERL) == 3 * one
    assert disk_bytes(VERL | {"checkpoints": {"keep_best": "pass_at_1"}}) == 4 * one
