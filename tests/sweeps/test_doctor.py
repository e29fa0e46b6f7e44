"""The doctor: what facts mean, what it finds on this machine, and the way through srun."""

import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qae.errors import ConfigError
from sweeps.data.sets import EVALUATION_SETS, Problem, to_table
from sweeps.doctor import files, hardware, network, probes, software
from sweeps.doctor.command import SlurmOptions, srun_command
from sweeps.doctor.files import DataFile, FileSystem, Model
from sweeps.doctor.findings import Finding, Level
from sweeps.doctor.hardware import Gpu, Torch
from sweeps.doctor.network import Network
from sweeps.launching.needs import GIB, Needs
from tests import ROOT
from tests.support import processes
from tests.support.configs import embedded_mapping, tiny_mapping, verl_mapping

VERL = {
    "labels": {"model": "qwen3-8b-base"},
    "backend": "verl",
    "actor_rollout_ref": {"model": {"path": "Qwen/Qwen3-8B-Base"}, "rollout": {"name": "vllm"}},
    "data": {"train_files": "d/train.parquet", "val_files": ["d/aime24.parquet"], "train_batch_size": 512},
    "trainer": {"total_training_steps": 300, "save_freq": 100},
    "resources": {"nodes": 1, "gpus_per_node": 8, "cpus_per_gpu": 8},
    "tracking": {"backend": "none"},
    "sweep": {"root": "runs"},
}
NEEDS = Needs.of(VERL)
H100 = Gpu("H100", 81_559, 4, "550.54")
DISK = FileSystem("nfs4", ("rw",), 10_000 * GIB, None)


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def test_needs_are_read_off_the_configuration() -> None:
    assert (NEEDS.nodes, NEEDS.gpus, NEEDS.train_batch_size) == (1, 8, 512)
    assert (NEEDS.ray, set(NEEDS.packages)) == (True, {"torch", "verl", "ray", "vllm", "flash-attn"})
    assert NEEDS.data_files == {"data.train_files": ("d/train.parquet",), "data.val_files": ("d/aime24.parquet",)}
    assert NEEDS.model_path == "Qwen/Qwen3-8B-Base"
    assert NEEDS.disk_bytes == (300 // 100 + 1) * 8 * 10**9 * 12
    kept = VERL | {"trainer": {"max_actor_ckpt_to_keep": 1}, "actor_rollout_ref": {"model": {"path": "a/Q-30B-A3B"}}}
    assert Needs.of(kept).disk_bytes == 2 * 30 * 10**9 * 12
    on_cpu = Needs.of(VERL | {"resources": {"gpus_per_node": 0, "threads": 1}})
    assert (on_cpu.gpus, set(on_cpu.packages)) == (0, {"torch", "verl", "ray"})
    with pytest.raises(ConfigError, match="gpus_per_node"):
        Needs.of(VERL | {"resources": {"gpus_per_node": "many"}})


@pytest.mark.parametrize("mapping", [embedded_mapping, tiny_mapping])
def test_the_embedded_models_need_neither_verl_nor_data_unless_their_loss_does(
    mapping: Callable[..., dict[str, object]],
) -> None:
    needs = Needs.of(mapping())
    assert (needs.gpus, needs.ray, set(needs.packages)) == (0, False, {"torch"})
    assert (needs.model_path, needs.data_files) == (None, {})
    with_loss = Needs.of(mapping("actor_rollout_ref.actor.policy_loss.loss_mode=clip_cov"))
    assert set(with_loss.packages) == {"torch", "verl"}
    assert files.judge_data(needs, [], {}) == []


def test_missing_and_old_packages_fail_with_what_to_install() -> None:
    installed = {"torch": "2.11.0", "verl": "0.9.1", "ray": "2.50", "vllm": "0.24.0", "flash-attn": "2.8.3"}
    assert set(levels(software.judge_packages(NEEDS, installed, {}))) == {Level.OK}
    old = {finding.name: finding for finding in software.judge_packages(NEEDS, {"torch": "2", "verl": "0.8.10"}, {})}
    assert old["verl"].level is Level.FAIL
    assert "0.8.10 is too old" in old["verl"].message
    assert "make setup-gpu" in old["vllm"].fix
    assert "attention=sdpa" in old["flash-attn"].fix
    assert software.judge_packages(NEEDS, installed | {"verl": "0.10.0"}, {})[1].level is Level.OK
    assert software.judge_python((3, 10, 4)).level is Level.FAIL


def test_an_engine_that_the_installed_verl_was_not_made_for_is_named() -> None:
    pins = software.pins(metadata.requires("verl") or [])
    made_for = str(pins["vllm"])
    installed = dict.fromkeys(NEEDS.packages, "1.0") | {"verl": "0.9.1", "flash-attn": "2.8.3"}
    judged = {finding.name: finding for finding in software.judge_packages(NEEDS, installed | {"vllm": "0.8.5"}, pins)}
    assert judged["vllm"].level is Level.WARN
    assert made_for in judged["vllm"].message
    right = installed | {"vllm": made_for.removeprefix("==")}
    assert set(levels(software.judge_packages(NEEDS, right, pins))) == {Level.OK}


def test_a_trl_that_verl_cannot_import_from_is_named_with_the_way_out() -> None:
    pins = software.pins(metadata.requires("verl") or [])
    (finding,) = software.judge_trl("1.16.0", pins)
    assert finding.level is Level.WARN
    assert {"1.16.0", f"trl{pins['trl']}"} <= set(finding.message.replace(",", "").split())
    assert "uninstall trl" in finding.fix
    assert software.judge_trl(str(pins["trl"]).removeprefix("=="), pins) == software.judge_trl(None, pins) == []


@pytest.mark.slow
def test_models_that_load_without_the_package_flash_attn_do_not_ask_for_it() -> None:
    def packages(*typed: str) -> set[str]:
        return set(Needs.of(verl_mapping(*typed)).packages)

    assert "flash-attn" in packages()
    assert "flash-attn" not in packages("attention=sdpa")
    assert {"flash-attn", "megatron-core"} & packages("model=qwen3-30b-a3b-base") == {"megatron-core"}
    assert not {"flash-attn", "vllm"} & packages("model=qwen3-random-tiny")


@pytest.mark.slow
def test_a_node_needs_cores_and_memory_for_its_gpus() -> None:
    node = Needs.of(verl_mapping())
    assert node.cpus == 64
    assert levels(hardware.judge_cpus(node, 64)) == [Level.OK]
    assert levels(hardware.judge_cpus(node, 63)) == [Level.WARN]
    (one,) = hardware.judge_cpus(node, 1)
    assert (one.level, "slurm.cpus_per_task" in one.fix) == (Level.FAIL, True)
    states = 2 * 12 * 8 * 10**9
    alone, four = (Needs.of(verl_mapping(f"resources.nodes={nodes}")).memory_bytes for nodes in (1, 4))
    assert alone - four == states * 3 // 4
    assert levels(hardware.judge_memory(node, four)) == [Level.OK]
    assert levels(hardware.judge_memory(node, four - 1)) == [Level.WARN]
    without = replace(node, gpus=0, memory_bytes=0)
    assert hardware.judge_cpus(without, 1) == hardware.judge_memory(without, 1) == []


@pytest.mark.parametrize(
    ("network_here", "level"),
    [
        (Network(("eth0",), ("mlx5_0",), None), Level.OK),
        (Network(("eth0", "ib0"), ("mlx5_0",), None), Level.WARN),
        (Network(("eth0",), (), None), Level.WARN),
        (Network(("eth0", "ib0"), ("mlx5_0",), "ib"), Level.OK),
        (Network(("eth0", "ib0"), ("mlx5_0",), "=ib0"), Level.OK),
        (Network(("eth0", "ib0"), ("mlx5_0",), "^eth0"), Level.OK),
        (Network(("eth0",), ("mlx5_0",), "=eth"), Level.FAIL),
        (Network(("eth0",), ("mlx5_0",), "ib0"), Level.FAIL),
    ],
)
def test_the_network_between_nodes(network_here: Network, level: Level) -> None:
    assert levels(network.judge_network(replace(NEEDS, nodes=2), network_here)) == [level]
    assert network.judge_network(NEEDS, network_here) == []


def test_limits_of_locked_memory_and_processes() -> None:
    nodes = replace(NEEDS, nodes=2)
    assert levels(hardware.judge_locked_memory(nodes, 64 * 1024)) == [Level.WARN]
    assert levels(hardware.judge_locked_memory(nodes, float("inf"))) == [Level.OK]
    assert hardware.judge_locked_memory(NEEDS, 0) == []
    assert levels(hardware.judge_processes(NEEDS, 4096)) == [Level.WARN]
    assert levels(hardware.judge_processes(NEEDS, float("inf"))) == [Level.OK]


def test_the_memory_of_a_job_is_the_least_limit_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probes.memory()
    assert whole is not None
    path = Path("/proc/self/cgroup").read_text().splitlines()[-1].rpartition(":")[2].lstrip("/")
    monkeypatch.setattr(probes, "_CGROUPS", tmp_path)
    job = tmp_path / path
    job.mkdir(parents=True, exist_ok=True)
    for folder in (tmp_path, tmp_path / "memory"):
        folder.mkdir(exist_ok=True)
        for name in ("memory.max", "memory.limit_in_bytes"):
            (folder / name).write_text(f"{2 * GIB}\n")
    assert probes.memory() == 2 * GIB
    for place in tmp_path.rglob("memory.*"):
        if place.is_file():
            place.write_text("max\n")
    assert (probes.memory() or 0) >= whole


@pytest.mark.parametrize(
    ("gpus", "torch", "expected"),
    [
        ([H100] * 8, Torch("2.11", "12.9", usable=True), [Level.OK, Level.OK]),
        ([H100] * 7, None, [Level.FAIL]),
        ([], None, [Level.FAIL]),
        ([H100] * 7 + [replace(H100, used=40_000)], Torch("2.11", "12.9", usable=True), [Level.WARN, Level.OK]),
        ([replace(H100, memory=24_000)] * 8, Torch("2.11", "12.9", usable=True), [Level.WARN, Level.OK]),
        ([H100] * 8, Torch("2.11", None, usable=False), [Level.OK, Level.FAIL]),
        ([H100] * 8, Torch("2.11", "13.0", usable=False), [Level.OK, Level.FAIL]),
        ([H100] * 8, None, [Level.OK, Level.FAIL]),
    ],
)
def test_gpus(gpus: list[Gpu], torch: Torch | None, expected: list[Level]) -> None:
    findings = hardware.judge_gpus(NEEDS, gpus, torch)
    assert levels(findings) == expected
    assert all(finding.fix for finding in findings if finding.level is not Level.OK)


def test_taken_ports_stop_only_runs_on_several_nodes() -> None:
    assert network.judge_ports(NEEDS, []).level is Level.OK
    assert network.judge_ports(NEEDS, [6379]).level is Level.WARN
    assert network.judge_ports(replace(NEEDS, nodes=2), [6379]).level is Level.FAIL


@pytest.mark.parametrize(
    ("nodes", "system", "expected"),
    [
        (1, DISK, [Level.OK, Level.OK]),
        (1, replace(DISK, kind="ext4"), [Level.OK, Level.OK]),
        (2, replace(DISK, kind="ext4"), [Level.WARN, Level.OK]),
        (2, replace(DISK, kind="lustre"), [Level.OK, Level.OK]),
        (2, replace(DISK, kind="lustre", options=("rw", "localflock")), [Level.WARN, Level.OK]),
        (1, replace(DISK, kind="tmpfs"), [Level.WARN, Level.OK]),
        (1, replace(DISK, failure="flock does not work"), [Level.FAIL, Level.OK]),
        (1, replace(DISK, free=GIB), [Level.OK, Level.FAIL]),
    ],
)
def test_the_run_store(nodes: int, system: FileSystem, expected: list[Level]) -> None:
    assert levels(files.judge_store(replace(NEEDS, nodes=nodes), system)) == expected


def test_memory_files_and_tracking_warn_but_never_fail() -> None:
    assert hardware.judge_shared_memory(NEEDS, None).level is Level.WARN
    assert hardware.judge_shared_memory(NEEDS, GIB // 16).level is Level.WARN
    assert hardware.judge_shared_memory(NEEDS, 64 * GIB).level is Level.OK
    assert "ulimit -n 65536" in hardware.judge_open_files(NEEDS, 1024, 2**20).fix
    assert "administrator" in hardware.judge_open_files(NEEDS, 1024, 4096).fix
    assert hardware.judge_open_files(replace(NEEDS, gpus=0), 8192, 8192).level is Level.OK
    online = replace(NEEDS, wandb="online")
    assert network.judge_wandb(online, "api.wandb.ai", reached=False).level is Level.WARN
    assert network.judge_wandb(online, "api.wandb.ai", reached=True).level is Level.OK


def test_data_files() -> None:
    expected = {"aime24.parquet": (30, 30)}
    train, evaluation = DataFile("d/train.parquet", 17_000), DataFile("d/aime24.parquet", 30)
    assert levels(files.judge_data(NEEDS, [train, evaluation], expected)) == [Level.OK, Level.OK]
    few, repeated = replace(train, rows=100), replace(evaluation, rows=960)
    assert levels(files.judge_data(NEEDS, [few, repeated], expected)) == [Level.FAIL, Level.WARN]
    absent = files.judge_data(NEEDS, [replace(evaluation, failure="not there")], expected)[0]
    assert (absent.level, absent.fix) == (Level.FAIL, "`qae data prepare aime24 --out d`")
    generated = files.judge_data(NEEDS, [DataFile("d/arithmetic-val.parquet", failure="not there")], expected)[0]
    assert generated.fix == "`qae data prepare arithmetic --out d`"
    assert "reward_model" in files.judge_data(NEEDS, [replace(train, missing=("reward_model",))], expected)[0].message
    unset = replace(NEEDS, data_files={**NEEDS.data_files, "data.val_files": ()})
    assert levels(files.judge_data(unset, [train], expected)) == [Level.OK, Level.FAIL]


def test_the_model() -> None:
    judged = {model: files.judge_model(NEEDS, model).level for model in Model}
    assert judged == {Model.HERE: Level.OK, Model.ON_HUB: Level.WARN, Model.NOWHERE: Level.FAIL}


def test_probing_files_here(tmp_path: Path) -> None:
    good, bad, other = (tmp_path / f"{name}.parquet" for name in ("good", "bad", "other"))
    pq.write_table(to_table(EVALUATION_SETS[0], [Problem("p", "1")]), good)
    bad.write_bytes(b"torn")
    pq.write_table(pa.table({"prompt": ["p"]}), other)
    assert probes.look_at_file(str(good)) == DataFile(str(good), 1)
    assert "no parquet file" in (probes.look_at_file(str(bad)).failure or "")
    assert probes.look_at_file(str(tmp_path / "none.parquet")).failure == "not there"
    assert "reward_model" in probes.look_at_file(str(other)).missing


def test_probing_the_store_tries_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    system = probes.look_at_store(tmp_path / "not" / "yet" / "there")
    assert system.failure is None
    assert system.kind != "an unknown file system"
    assert system.free > 0
    assert list(tmp_path.iterdir()) == []


def test_a_store_whose_locks_do_not_hold_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that grants every lock."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert probes.look_at_store(tmp_path).failure == "flock does not keep a second process out"


def test_probing_ports_and_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        monkeypatch.setattr(probes, "RAY_PORTS", {port: "a test"})
        assert not probes.answers(f"http://127.0.0.1:{port}")
        server.listen()
        assert probes.taken_ports() == [port]
        assert probes.answers(f"http://127.0.0.1:{port}/path")
    assert probes.taken_ports() == []


def test_finding_a_model(tmp_path: Path) -> None:
    assert probes.find_model(str(tmp_path)) is Model.NOWHERE
    (tmp_path / "config.json").write_text("{}")
    assert probes.find_model(str(tmp_path)) is Model.HERE
    assert probes.find_model("/nowhere/model") is Model.NOWHERE


def script(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return folder


def run(tmp_path: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "QAE_RUNS": str(tmp_path / "runs"),
        "HF_HOME": str(tmp_path / "hub"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "WANDB_MODE": "offline",
        "PATH": str(path or script(tmp_path / "bin", "nvidia-smi", "exit 9")),
    }
    return subprocess.run(
        [sys.executable, "-m", "sweeps.cli", "doctor", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )


def by_name(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {finding["name"]: finding for finding in json.loads(done.stdout.splitlines()[-1])["findings"]}


@pytest.mark.slow
@pytest.mark.parametrize("typed", [(), ("model=tiny",)])
def test_this_machine_is_ready_for_the_embedded_models(tmp_path: Path, typed: tuple[str, ...]) -> None:
    done = run(tmp_path, *typed)
    assert done.returncode == 0, done.stdout + done.stderr
    model = typed[0] if typed else "model=tabular"
    assert done.stdout.splitlines()[-1].endswith(f"is ready for {model}: 0 fail, 0 warn")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_machine_without_gpus_fails_for_an_8b_model_and_names_them(tmp_path: Path) -> None:
    done = run(tmp_path, "model=qwen3-8b-base", "++resources.gpus_per_node=8", "--json")
    assert done.returncode == 1
    gpus = by_name(done)["GPUs"]
    assert gpus["level"] == "fail"
    assert "model=qwen3-8b-base takes 8" in gpus["message"]
    assert by_name(done)["model"]["level"] == "fail"
    assert "hf download Qwen/Qwen3-8B-Base" in by_name(done)["model"]["fix"]


@pytest.mark.slow
def test_gpus_are_read_off_nvidia_smi(tmp_path: Path) -> None:
    smi = script(tmp_path / "bin", "nvidia-smi", "echo 'NVIDIA H100 80GB HBM3, 81559, 4, 550.54.15'")
    done = run(tmp_path, "model=qwen3-8b-base", "++resources.gpus_per_node=1", "--json", path=smi)
    assert by_name(done)["GPUs"]["message"] == "1 x NVIDIA H100 80GB HBM3, 80 GiB, driver 550.54.15"
    assert "CUDA" in by_name(done)


@pytest.mark.slow
def test_a_mistyped_configuration_is_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "model=qwen3-8b")
    assert done.returncode == 2
    assert "did you mean qwen3-8b-base?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_srun_command_asks_for_what_the_run_takes() -> None:
    command = srun_command(NEEDS, SlurmOptions("gpu", "lab"), Path("runs/x"), ["model=qwen3-8b-base", "++a=1"])
    assert command[:6] == ["srun", "--nodes=1", "--ntasks=1", "--partition=gpu", "--account=lab", "--gres=gpu:8"]
    assert command[6] == "--cpus-per-task=64"
    assert command[7:] == [
        *(sys.executable, "-m", "sweeps.cli", "doctor", "--json", "--shared-file=runs/x"),
        *("--", "model=qwen3-8b-base", "++a=1"),
    ]
    assert "--gres=gpu:a100:4" in srun_command(NEEDS, SlurmOptions(gres="gpu:a100:4"), Path("x"), [])
    assert not any(
        word.startswith("--gres") for word in srun_command(replace(NEEDS, gpus=0), SlurmOptions(), Path("x"), [])
    )


@pytest.mark.slow
def test_through_srun_the_node_reports_and_sees_the_store(tmp_path: Path) -> None:
    body = 'echo "welcome to the node"; while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"'
    done = run(tmp_path, "--slurm", "--partition=gpu", "tracking=none", path=script(tmp_path / "bin", "srun", body))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--partition=gpu" in done.stderr
    assert "is the same as on the machine that submits" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


@pytest.mark.slow
def test_what_srun_says_is_seen_while_it_waits_for_a_node(tmp_path: Path) -> None:
    """A request that no node can fill waits for ever, and srun alone says so."""
    waiting = "srun: Requested partition configuration not available now"
    body = f"echo $$ > {tmp_path}/pid; echo '{waiting}' >&2; exec /bin/sleep 600"
    path = script(tmp_path / "bin", "srun", body)
    with processes.python("-m", "sweeps.cli", "doctor", "--slurm", PATH=str(path), QAE_RUNS=str(tmp_path)) as doctor:
        assert doctor.stdout is not None
        assert waiting in "".join(itertools.islice(doctor.stdout, 2))
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    assert doctor.returncode == 2


@pytest.mark.slow
def test_a_node_with_another_store_fails(tmp_path: Path) -> None:
    done = run(tmp_path, f"--shared-file={tmp_path / 'other' / 'file'}", "--json")
    assert done.returncode == 1
    assert by_name(done)["shared store"]["level"] == "fail"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "srun is not in PATH"),
        ("echo 'srun: error: invalid partition' >&2; exit 1", "error: invalid partition"),
        ("echo 'srun: error: invalid partition' >&2; exit 1", "`sinfo -o %R`"),
    ],
)
def test_without_slurm_or_a_node_it_says_so(body: str | None, said: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--slurm", path=script(tmp_path / "bin", "srun", body) if body else None)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
