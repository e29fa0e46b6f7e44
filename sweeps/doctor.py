"""What facts about a machine mean for a run; `sweeps.probes` gathers them, `sweeps.needs` says what a run asks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sweeps import arithmetic, data_files
from sweeps.needs import GIB, Needs, size

RAY_PORTS = {6379: "Ray's head node", 8265: "Ray's dashboard"}

_OLDEST_PYTHON = (3, 11)
_OLDEST_VERL = (0, 9, 1)
_RECIPE_GPU_MIB = 70_000  # the recipes are for GPUs of 80 GB
_BUSY_GPU_MIB = 2_000
# Each of Ray's processes holds hundreds of files and sockets, and there are some for every GPU.
_OPEN_FILES_OF_RAY = 4_096
_OPEN_FILES_WITH_GPUS = 65_536
_OPEN_FILES_OTHERWISE = 256
_SHARED_MEMORY = {True: 16 * GIB, False: 2 * GIB}
_NETWORK_FILE_SYSTEMS = (
    "nfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "cifs",
    "smb",
    "fuse",
    "wekafs",
    "panfs",
    "9p",
    "orangefs",
)
_VOLATILE_FILE_SYSTEMS = ("tmpfs", "ramfs")


class Level(StrEnum):
    """What a finding means for the run."""

    OK = "ok"
    WARN = "warn"  # it runs, with a risk or a delay
    FAIL = "fail"  # it cannot run


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at, a word or two.
        level: what it means.
        message: what was found.
        fix: what to do; empty where nothing is to be done.
    """

    name: str
    level: Level
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Torch:
    """What torch says of itself: version, CUDA version it was built for, whether it can use a GPU."""

    version: str
    cuda: str | None
    usable: bool


@dataclass(frozen=True)
class Gpu:
    """A GPU as nvidia-smi lists it; memory in MiB."""

    name: str
    memory: int
    used: int
    driver: str


@dataclass(frozen=True)
class FileSystem:
    """Where the run store lies.

    Attributes:
        kind: of /proc/mounts, e.g. ext4, nfs4, lustre.
        options: mount options.
        free: bytes.
        failure: what locks, exclusive creation or renaming did wrong; None where they work.
    """

    kind: str
    options: tuple[str, ...]
    free: int
    failure: str | None


@dataclass(frozen=True)
class DataFile:
    """A data file: rows and absent columns, or why it cannot be read."""

    path: str
    rows: int = 0
    missing: tuple[str, ...] = ()
    failure: str | None = None


class Model(StrEnum):
    """Where a model's weights are."""

    HERE = "here"
    ON_HUB = "on the hub"
    NOWHERE = "nowhere"


def judge_python(version: tuple[int, int, int]) -> Finding:
    """The interpreter."""
    text = ".".join(map(str, version))
    if version < _OLDEST_PYTHON:
        return Finding("Python", Level.FAIL, f"{text}, 3.11 or later is needed", "`make setup PYTHON=python3.11`")
    return Finding("Python", Level.OK, text)


def judge_packages(needs: Needs, versions: Mapping[str, str]) -> list[Finding]:
    """Installed packages.

    Args:
        needs: of the run.
        versions: by name of the distribution; absent ones are not in it.
    """
    findings = []
    for name, fix in needs.packages.items():
        version = versions.get(name)
        if version is None:
            findings.append(Finding(name, Level.FAIL, "not installed", fix))
        elif name == "verl" and _numbers(version) < _OLDEST_VERL:
            findings.append(Finding(name, Level.FAIL, f"{version} is too old, 0.9.1 or later is needed", fix))
        else:
            findings.append(Finding(name, Level.OK, version))
    return findings


def judge_gpus(needs: Needs, gpus: Sequence[Gpu], torch: Torch | None) -> list[Finding]:
    """GPUs and whether torch can use them.

    Args:
        needs: of the run; without GPUs nothing is looked at.
        gpus: as nvidia-smi lists them.
        torch: None where it cannot be imported.
    """
    if needs.gpus == 0:
        return []
    if len(gpus) < needs.gpus:
        wanted = f"{needs.gpus} on each of {needs.nodes} nodes" if needs.nodes > 1 else str(needs.gpus)
        message = f"{len(gpus) or 'none'} here, model={needs.model} takes {wanted}"
        fix = "run inside an allocation, look at a compute node with --slurm, or set resources.gpus_per_node"
        return [Finding("GPUs", Level.FAIL, message, fix)]
    message = f"{len(gpus)} x {gpus[0].name}, {gpus[0].memory / 1024:.0f} GiB, driver {gpus[0].driver}"
    smallest, busy = min(gpu.memory for gpu in gpus), sum(gpu.used > _BUSY_GPU_MIB for gpu in gpus)
    finding = Finding("GPUs", Level.OK, message)
    if busy:
        finding = Finding(
            "GPUs", Level.WARN, f"{message}; {busy} in use", "`nvidia-smi` shows whose processes they are"
        )
    elif smallest < _RECIPE_GPU_MIB:
        fix = "expect to offload (actor_rollout_ref.actor.fsdp_config.param_offload=true) or to use more GPUs"
        finding = Finding("GPUs", Level.WARN, f"{message}; the recipes are for 80 GB", fix)
    return [finding, _judge_cuda(torch)]


def _judge_cuda(torch: Torch | None) -> Finding:
    if torch is None:
        return Finding("CUDA", Level.FAIL, "torch cannot be imported", "`.venv/bin/python -c 'import torch'` says why")
    if torch.cuda is None:
        fix = "install a CUDA build of torch; `verl[vllm]` brings one"
        return Finding("CUDA", Level.FAIL, f"torch {torch.version} is built for CPUs", fix)
    if not torch.usable:
        fix = "update the driver, or install a torch that is built for an older CUDA"
        return Finding("CUDA", Level.FAIL, f"torch {torch.version} (CUDA {torch.cuda}) finds no usable GPU", fix)
    return Finding("CUDA", Level.OK, f"torch {torch.version} for CUDA {torch.cuda}")


def judge_ports(needs: Needs, taken: Sequence[int]) -> Finding:
    """Ray's ports; `taken` are those of `RAY_PORTS` that something listens on."""
    if not taken:
        return Finding("Ray ports", Level.OK, f"{', '.join(map(str, RAY_PORTS))} free")
    names = ", ".join(f"{port} ({RAY_PORTS[port]})" for port in taken)
    fix = "`ray stop` ends a cluster of yours; verl would join it otherwise"
    return Finding("Ray ports", Level.FAIL if needs.nodes > 1 else Level.WARN, f"{names} taken", fix)


def judge_shared_memory(needs: Needs, free: int | None) -> Finding:
    """The shared memory that holds Ray's objects; `free` in bytes, None where there is none."""
    least = _SHARED_MEMORY[needs.gpus > 0]
    if free is None or free < least:
        message = "there is no /dev/shm" if free is None else f"{size(free)} free in /dev/shm"
        fix = f"have at least {size(least)} (containers: --shm-size={least // GIB}g); Ray falls back to disk otherwise"
        return Finding("shared memory", Level.WARN, message, fix)
    return Finding("shared memory", Level.OK, f"{size(free)} free in /dev/shm")


def judge_store(needs: Needs, system: FileSystem) -> list[Finding]:
    """The run store's file system and its free space."""
    where = f"{needs.root} on {system.kind}"
    disk = f"{size(system.free)} free, a run's checkpoints take about {size(needs.disk_bytes)}"
    findings = []
    if system.failure:
        fix = "set sweep.root or $QAE_RUNS to a file system with working locks (Lustre: mounted with flock)"
        findings.append(Finding("run store", Level.FAIL, f"{where}: {system.failure}", fix))
    elif system.kind in _VOLATILE_FILE_SYSTEMS:
        fix = "set sweep.root or $QAE_RUNS to a disk"
        findings.append(Finding("run store", Level.WARN, f"{where}: gone after a restart", fix))
    elif "localflock" in system.options:
        fix = "ask for the mount option flock; until then start a sweep from one machine only"
        findings.append(Finding("run store", Level.WARN, f"{where}: locks hold on this machine only", fix))
    elif needs.nodes > 1 and not system.kind.startswith(_NETWORK_FILE_SYSTEMS):
        fix = "set sweep.root or $QAE_RUNS to a file system that all nodes see"
        findings.append(Finding("run store", Level.WARN, f"{where}: other nodes may not see it", fix))
    else:
        findings.append(Finding("run store", Level.OK, f"{where}: locks, exclusive creation and renaming work"))
    if system.free < needs.disk_bytes:
        fix = "free space, set sweep.root to a larger disk, or keep fewer (trainer.max_actor_ckpt_to_keep=1)"
        return [*findings, Finding("disk", Level.FAIL, disk, fix)]
    return [*findings, Finding("disk", Level.OK, disk)]


def judge_open_files(needs: Needs, soft: int, hard: int) -> Finding:
    """The limit of open files."""
    least = _OPEN_FILES_OF_RAY if needs.ray else _OPEN_FILES_OTHERWISE
    if needs.gpus:
        least = _OPEN_FILES_WITH_GPUS
    if soft < least:
        fix = f"`ulimit -n {least}` before the run"
        if hard < least:
            fix = f"ask an administrator to raise the hard limit, {hard}"
        return Finding("open files", Level.WARN, f"limit {soft}, {least} is safe", fix)
    return Finding("open files", Level.OK, f"limit {soft}")


def judge_wandb(needs: Needs, host: str, *, reached: bool) -> Finding:
    """W&B: never a reason to fail."""
    if needs.wandb in (None, "disabled"):
        return Finding("W&B", Level.OK, "off")
    if needs.wandb == "offline":
        return Finding("W&B", Level.OK, "offline, as no key is set or it was asked for (`wandb login` sets one)")
    if not reached:
        return Finding(
            "W&B", Level.WARN, f"{host} does not answer", "runs record offline; `wandb sync` sends them later"
        )
    return Finding("W&B", Level.OK, f"key found, {host} answers")


def judge_data(needs: Needs, files: Sequence[DataFile], expected: Mapping[str, tuple[int, int]]) -> list[Finding]:
    """Data files.

    Args:
        needs: of the run.
        files: those of `needs`, as found.
        expected: fewest and most rows by file name, for files that are known.
    """
    findings = [_judge_file(needs, file, expected.get(Path(file.path).name)) for file in files]
    for key, named in needs.data_files.items():
        if not named and needs.gpus:  # without GPUs it is the rehearsal, whose data are generated
            findings.append(Finding(key, Level.FAIL, "not set", "name files that `qae data prepare` wrote"))
    return findings


def _judge_file(needs: Needs, file: DataFile, expected: tuple[int, int] | None) -> Finding:
    path = Path(file.path)
    generated = path.stem in (arithmetic.TRAIN.name, arithmetic.VALIDATION.name)
    name = f" {data_files.ARITHMETIC}" if generated else f" {path.stem}" if expected else ""
    command = f"`qae data prepare{name} --out {path.parent}`"
    batch = needs.train_batch_size or 0
    if file.failure:
        return Finding(path.name, Level.FAIL, f"{file.path}: {file.failure}", command)
    if file.missing:
        message = f"{file.path}: no column {', '.join(file.missing)}"
        return Finding(path.name, Level.FAIL, message, f"write it in verl's form: {command}")
    if file.rows < (batch if file.path in needs.data_files.get("data.train_files", ()) else 1):
        fix = "set a smaller data.train_batch_size or use more data"
        return Finding(path.name, Level.FAIL, f"{file.rows} rows, a step takes {batch or 1}", fix)
    if expected and not expected[0] <= file.rows <= expected[1]:
        message = f"{file.rows:,} rows, the full set has {expected[0]:,} to {expected[1]:,}"
        return Finding(path.name, Level.WARN, message, f"unless you meant a part: {command[:-1]} --force`")
    return Finding(path.name, Level.OK, f"{file.rows:,} problems")


def judge_model(needs: Needs, model: Model) -> Finding:
    """The model's weights."""
    name = needs.model_path
    if model is Model.HERE:
        return Finding("model", Level.OK, f"{name} is on this machine")
    fetch = f"`hf download {name}`"
    if model is Model.ON_HUB:
        message = f"{name} is not in the hub's cache, its first run downloads it"
        return Finding("model", Level.WARN, message, f"{fetch} beforehand, with HF_HOME on a shared file system")
    fix = f"{fetch} where there is internet, with HF_HOME on a file system that this machine sees"
    return Finding(
        "model", Level.FAIL, f"{name} is neither a folder nor in the hub's cache, and the hub is out of reach", fix
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
