"""The Slurm of these tests: a real one on this machine, or the one that QAE_TEST_SLURM=existing names."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ROOT

SCRIPT = ROOT / "slurm" / "local_cluster.sh"
_UP_SECONDS = 400  # with the installation of Debian's packages
_MAX_ARRAY = "2"  # so that small sweeps are larger than an array may be


@dataclass(frozen=True)
class Cluster:
    """A running cluster; Slurm's commands find it through the environment.

    Attributes:
        script: brings it up and down, kills and starts its nodes.
    """

    script: Path

    def node(self, command: str, name: str) -> None:
        """``kill-node`` or ``start-node``."""
        subprocess.run([self.script, command, name], check=True, capture_output=True, timeout=600)

    def controller(self, command: str) -> None:
        """``stop-controller`` or ``start-controller``."""
        subprocess.run([self.script, command], check=True, capture_output=True, timeout=600)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Four nodes; a test that needs them is skipped where they cannot be had, which with CI=true is a failure."""
    if os.environ.get("QAE_TEST_SLURM") == "existing":
        yield Cluster(SCRIPT)
        return
    with local_cluster({"MAX_ARRAY": os.environ.get("MAX_ARRAY", _MAX_ARRAY)}) as local:
        yield local


@contextmanager
def local_cluster(settings: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster on this machine while the block runs; Slurm's commands find it by this process's environment.

    Args:
        settings: variables of the script, such as NODES, and QAE_SLURM_HOME and QAE_SLURM_PORT for one beside another.
    """
    if why := obstacle():
        sentence = f"no Slurm to test on: {why}; QAE_TEST_SLURM=existing uses the one that SLURM_CONF names"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        up = subprocess.run([SCRIPT, "up"], check=False, capture_output=True, text=True, timeout=_UP_SECONDS)
        if up.returncode:
            pytest.fail(f"{SCRIPT} up failed: {up.stderr[-2000:]}")
        exports = subprocess.run([SCRIPT, "env"], check=True, capture_output=True, text=True, timeout=600).stdout
        for line in exports.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            os.environ[name] = shlex.split(value)[0]
        yield Cluster(SCRIPT)
    finally:
        subprocess.run([SCRIPT, "down"], check=False, capture_output=True, timeout=600)
        os.environ.clear()
        os.environ.update(before)


def obstacle() -> str | None:
    if os.geteuid() != 0:
        return "its daemons need root"
    if shutil.which("apt-get") is None:
        return "its packages are Debian's"
    return None
