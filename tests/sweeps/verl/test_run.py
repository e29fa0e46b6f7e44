"""The parts of a run of verl that need no trainer: its command, its checkpoints, what is made for it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from qae.errors import ConfigError
from qae.run_directory import RunDirectory
from sweeps.verl import machine as verl_machine
from sweeps.verl.cache import with_cached
from sweeps.verl.checkpoints import complete, resume_step
from sweeps.verl.run import command, environment
from tests import ROOT
from tests.support.configs import verl_mapping

POINTER = "latest_checkpointed_iteration.txt"


def checkpoint(folder: Path, step: int, *, complete: bool = True) -> Path:
    path = folder / f"global_step_{step}"
    (path / "actor").mkdir(parents=True)
    (path / "actor" / "model.pt").write_bytes(b"weights")
    if complete:
        with zipfile.ZipFile(path / "data.pt", "w") as file:
            file.writestr("data", "state")
    return path


def test_without_a_checkpoint_it_starts_anew(tmp_path: Path) -> None:
    assert resume_step(tmp_path / "checkpoints") == 0


@pytest.mark.parametrize("pointer", ["", "4", "9", None])
def test_the_newest_complete_checkpoint_is_resumed_whatever_a_kill_left(pointer: str | None, tmp_path: Path) -> None:
    checkpoint(tmp_path, 2)
    checkpoint(tmp_path, 4)
    unfinished = checkpoint(tmp_path, 6, complete=False)
    if pointer is not None:
        (tmp_path / POINTER).write_text(pointer)
    assert resume_step(tmp_path) == 4
    assert (tmp_path / POINTER).read_text() == "4"
    assert not unfinished.exists()


def test_a_torn_end_does_not_count_as_complete(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 2)
    whole = (path / "data.pt").read_bytes()
    (path / "data.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / POINTER).write_text("2")
    assert resume_step(tmp_path) == 0
    assert not (tmp_path / POINTER).exists()


def test_a_checkpoint_whose_transfer_queue_is_not_whole_does_not_count(tmp_path: Path) -> None:
    (checkpoint(tmp_path, 2) / "transfer_queue").mkdir()
    (checkpoint(tmp_path, 4) / "transfer_queue.tmp").mkdir()
    assert resume_step(tmp_path) == 2


@pytest.mark.parametrize(
    ("logged", "resumed", "kept"),
    [
        (6, 6, [2, 4, 6]),
        (5, 4, [2, 4]),  # a kill came between the checkpoint of step 6 and its metrics
        (3, 6, [2, 4, 6]),  # metrics were lost otherwise: nothing is thrown away for them
        (None, 6, [2, 4, 6]),
    ],
)
def test_a_step_with_a_checkpoint_and_without_metrics_is_computed_again(
    logged: int | None, resumed: int, kept: list[int], tmp_path: Path
) -> None:
    for step in (2, 4, 6):
        checkpoint(tmp_path, step)
    assert resume_step(tmp_path, logged) == resumed
    assert (tmp_path / POINTER).read_text() == str(resumed)
    assert sorted(complete(tmp_path)) == kept


def test_the_only_checkpoint_is_resumed_though_its_step_has_no_metrics(tmp_path: Path) -> None:
    checkpoint(tmp_path, 6)
    assert resume_step(tmp_path, 5) == 6


def test_the_command_names_the_run_and_evaluates_the_start_once(tmp_path: Path) -> None:
    config = verl_mapping("model=qwen3-random-tiny", "algorithm.quantile_k=0.4")
    directory = RunDirectory(tmp_path / "abc")
    fresh, resumed = command(config, directory, 0), command(config, directory, 4)
    assert "++algorithm.quantile_k=0.4" in fresh
    assert f"trainer.default_local_dir={directory.checkpoints}" in fresh
    assert "trainer.val_before_train=false" not in fresh
    assert "trainer.val_before_train=false" in resumed


def test_what_is_made_locally_is_made_once(tmp_path: Path) -> None:
    config = {"data": {"train_files": "cache:arithmetic-train.parquet", "val_files": ["cache:arithmetic-val.parquet"]}}
    first = with_cached(config, tmp_path)
    train = Path(str(first["data"]["train_files"]))  # type: ignore[index]
    made = train.stat().st_mtime_ns
    assert with_cached(config, tmp_path) == first
    assert train.stat().st_mtime_ns == made


def test_an_unknown_name_in_the_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"actor_rollout_ref.model.path='cache:qwen9' .* cache:qwen3-random-tiny"):
        with_cached({"actor_rollout_ref": {"model": {"path": "cache:qwen9"}}}, tmp_path)


@pytest.mark.slow
def test_missing_gpus_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    environment = {**os.environ, "QAE_RUNS": str(tmp_path / "runs"), "CUDA_VISIBLE_DEVICES": ""}
    data = [f"data.{name}=[{Path(__file__)}]" for name in ("train_files", "val_files")]
    command = [sys.executable, "sweep.py", "model=qwen3-8b-base", "resources.nodes=1", *data]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: resources.gpus_per_node=8 cannot be used: this machine has 0 GPUs")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_several_nodes_want_a_ray_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    config = verl_mapping()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match=r"resources.nodes=4 .* set RAY_ADDRESS"):
        verl_machine.check(config)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    verl_machine.check(config)


def test_a_ray_of_this_machine_alone_is_no_cluster_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", verl_machine.LOCAL_RAY)
    assert not verl_machine.joins_ray({})
    monkeypatch.delenv("RAY_ADDRESS")
    assert verl_machine.joins_ray({"ray_kwargs": {"ray_init": {"address": "10.0.0.1:6379"}}})


def test_the_command_asks_nothing_of_a_ray_that_it_joins_which_ray_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = verl_mapping("model=qwen3-random-tiny")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    text = " ".join(command(config, RunDirectory(tmp_path / "abc"), 0))
    assert verl_machine.ray_options(config) == {"num_cpus": 16, "num_gpus": 1, "object_store_memory": 300000000}
    assert not any(key in text for key in verl_machine.ray_options(config))
    assert "ray_init.include_dashboard=false" in text
    monkeypatch.delenv("RAY_ADDRESS")
    text = " ".join(command(config, RunDirectory(tmp_path / "abc"), 0))
    assert all(key in text for key in verl_machine.ray_options(config))


def test_visible_gpus_are_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = verl_mapping("model=qwen3-random-tiny")
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment(config, RunDirectory(tmp_path))["ROCR_VISIBLE_DEVICES"] == "0,1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert "ROCR_VISIBLE_DEVICES" not in environment(config, RunDirectory(tmp_path))
