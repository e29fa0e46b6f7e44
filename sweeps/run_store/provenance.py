"""Which code, versions and machine an attempt ran on."""

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata

import orjson

from qae.run_directory import RunDirectory, write_atomic
from sweeps.run_store import snapshot

_PACKAGES = ("torch", "verl", "transformers", "vllm", "wandb", "numpy", "hydra-core")


@dataclass(frozen=True)
class Provenance:
    """One attempt.

    Attributes:
        attempt: from 1.
        started: seconds since the epoch.
        commit: of the toolkit's code; None outside a git checkout.
        diff: uncommitted changes against it; None where there are none.
        versions: installed packages that decide numbers, the trainer's among them.
        python, host, cpu: interpreter version, host name, processor.
        threads: that the run computes on.
    """

    attempt: int
    started: float
    commit: str | None
    diff: str | None
    versions: dict[str, str]
    python: str
    host: str
    cpu: str
    threads: int


def record_attempt(directory: RunDirectory, attempt: int, threads: int, packages: Iterable[str]) -> None:
    """Append this attempt to the run's provenance.json, atomically.

    Args:
        directory: the run.
        attempt: from 1.
        threads: that it computes on.
        packages: distributions of its trainer.
    """
    earlier: list[object] = []
    if directory.provenance.exists():
        earlier = orjson.loads(directory.provenance.read_bytes())["attempts"]
    content = {"attempts": [*earlier, asdict(_collect(attempt, threads, packages))]}
    write_atomic(directory.provenance, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _collect(attempt: int, threads: int, packages: Iterable[str]) -> Provenance:
    versions = {}
    for package in dict.fromkeys((*_PACKAGES, *packages)):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    code = snapshot.source_of()
    return Provenance(
        attempt=attempt,
        started=time.time(),
        commit=code.commit,
        diff=code.diff,
        versions=versions,
        python=platform.python_version(),
        host=platform.node(),
        cpu=f"{platform.machine()}, {os.cpu_count()} cores",
        threads=threads,
    )
