"""What a job does on a node before and beside Ray, and what it refuses; `test_ray` has Ray itself."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qae.errors import ConfigError
from qae.run_directory import RunDirectory
from slurm.node import ray_cluster, ray_node
from tests.support.configs import embedded_mapping, verl_mapping

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def folder_of_ray(base: Path, name: str) -> Path:
    folder = base / f"qae-ray-{name}"
    folder.mkdir()
    (folder / "lock").touch()
    return folder


def test_what_a_killed_job_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    left, used, made = (folder_of_ray(tmp_path, name) for name in ("left", "used", "made"))
    (made / "lock").unlink()  # a job makes it just now
    processes = [subprocess.Popen(SLEEP, env={**os.environ, "QAE_RAY_FOLDER": str(folder)}) for folder in (left, used)]
    try:
        with (used / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ray_node.remove_stale_folders(tmp_path)
        assert processes[0].wait(10) < 0
        assert processes[1].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["qae-ray-made", "qae-ray-used"]


@pytest.mark.parametrize("line", ["srun: error: n2", "[1]", '{"node": "n2"}', ""])
def test_only_a_nodes_own_words_are_taken_for_them(line: str) -> None:
    assert ray_node.parse(line) is None
    assert ray_node.parse('{"node": "n2", "address": "10.0.0.1:6379"}\n') == ("n2", "10.0.0.1:6379")


def test_one_node_starts_nothing_and_joins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for config in (embedded_mapping(), verl_mapping("model=qwen3-random-tiny")):
        with ray_cluster.machines(config, RunDirectory(tmp_path), lambda: False) as lost:
            assert lost is not None
            assert lost(0.0) is None
            assert os.environ.get("RAY_ADDRESS") == ("local" if config["backend"] == "verl" else None)
        assert "RAY_ADDRESS" not in os.environ


def test_a_job_with_other_nodes_than_its_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    config = verl_mapping("model=qwen3-random-tiny", "resources.nodes=2")
    machines = ray_cluster.machines(config, RunDirectory(tmp_path), lambda: False)
    with pytest.raises(ConfigError, match=r"resources.nodes=2 .* the job has 0"), machines:
        pass
