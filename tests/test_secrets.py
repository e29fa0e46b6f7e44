"""Keys in the environment and in netrc stand in no file that a sweep or a command writes, and in nothing it prints."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.configs import QUICK
from tests.support.strangers import QAE, SWEEP

pytestmark = pytest.mark.slow

VARIABLES = ("WANDB_API_KEY", "HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY")
NETRC = ("api.wandb.ai", "huggingface.co")
TAKE = "import sys; from pathlib import Path; from sweeps.run_store.snapshot import take; take(Path(sys.argv[1]))"


def canary(name: str) -> str:
    """A key that looks like W&B's, and that nothing else writes."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


CANARIES = {name: canary(name).encode() for name in (*VARIABLES, *NETRC)}


class World:
    """A user with keys, whose home, cache, temporary files and run store are in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "runs"
        self.printed: dict[str, bytes] = {}
        for name in ("home", "tmp", "work"):
            (folder / name).mkdir()
        self.netrc = folder / "home" / ".netrc"
        self.netrc.write_text("".join(f"machine {host} login user password {canary(host)}\n" for host in NETRC))
        self.netrc.chmod(0o600)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "QAE_", "HF_"))},
            **{name: canary(name) for name in VARIABLES},
            "HOME": str(folder / "home"),
            "NETRC": str(self.netrc),
            "TMPDIR": str(folder / "tmp"),
            "QAE_RUNS": str(self.root),
            "QAE_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }

    def run(self, what: str, *command: str) -> None:
        """Run a command, which must succeed, and keep what it prints."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder / "work",
            env=self._environment,
            capture_output=True,
            check=False,
        )
        self.printed[what] = done.stdout + done.stderr
        assert done.returncode == 0, self.printed[what].decode()

    def leaks(self) -> Iterator[tuple[str, str]]:
        """What holds a key, and which."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and path != self.netrc)
        places = [*self.printed.items(), *((str(path), path.read_bytes()) for path in files)]
        return ((where, name) for where, content in places for name, key in CANARIES.items() if key in content)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """All that a user does with a sweep, once."""
    found = World(tmp_path_factory.mktemp("world"))
    axes = ("algorithm.quantile_k=-1,0.4", "seed=0,1")
    found.run("sweep", *SWEEP, "-m", *QUICK, *axes, "tracking.mode=offline", "sweep.name=s", "resources.parallel=2")
    slurm = ("model=qwen3-8b-base", "hydra/launcher=slurm", "sweep.dry_run=true", "slurm.show_scripts=true")
    found.run("plan for Slurm", *SWEEP, "-m", *slurm, "sweep.name=planned")
    found.run("copy of the code", "-c", TAKE, str(found.root))
    found.run("doctor", *QAE, "doctor")
    found.run("verl-command", *QAE, "verl-command", "model=qwen3-8b-base")
    found.run("verl script", *QAE, "verl-command", "--script", "model=qwen3-8b-base")
    for command in ("table", "compare", "status", "report", "figures"):
        found.run(command, *QAE, command, "s")
    found.run("export", *QAE, "export", "s", "--out", str(found.folder / "exported.csv"))
    return found


def test_no_key_is_written_or_printed(world: World) -> None:
    assert list(world.leaks()) == []


def test_everything_was_looked_at(world: World) -> None:
    names = {path.name for path in world.folder.rglob("*")}
    assert {"config.yaml", "provenance.json", "metrics.jsonl", ".qae-snapshot.json", "s.html", "exported.csv"} <= names
    assert any(name.endswith(".wandb") for name in names)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_key_would_be_found(name: str, world: World) -> None:
    path = world.folder / "work" / "leak.bin"
    path.write_bytes(b"\x00" + canary(name).encode())
    assert list(world.leaks()) == [(str(path), name)]
    path.unlink()
