"""The run store, data files and the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sweeps.data import arithmetic
from sweeps.data import files as data_files
from sweeps.doctor.findings import Finding, Level
from sweeps.launching.needs import Needs, size

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


def judge_data(needs: Needs, files: Sequence[DataFile], expected: Mapping[str, tuple[int, int]]) -> list[Finding]:
    """Data files.

    Args:
        needs: of the run.
        files: those of `needs`, as found.
        expected: fewest and most rows by file name, for files that are known.
    """
    findings = [_judge_file(needs, file, expected.get(Path(file.path).name)) for file in files]
    for key, named in needs.data_files.items():
        if not named:
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
