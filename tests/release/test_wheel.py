"""The wheel and the source archive: what they hold, and that an installed wheel works from any folder."""

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ROOT
from tests.layouts.packed import unpack
from tests.support.environments import light, variables

pytestmark = [pytest.mark.slow, pytest.mark.long]
PACKAGES = ("qae", "sweeps", "slurm", "analysis", "hydra_plugins")
# What a wheel is built from again, and what the tests of an archive need.
BESIDE = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CITATION.cff",
    "Makefile",
    "sweep.py",
    "requirements.lock",
    "tests",
)
OWN_MODEL = """\
# @package _global_
defaults:
  - qwen3-8b-base
labels:
  model: mine
"""


@dataclass(frozen=True)
class Built:
    """What the build backend makes.

    Attributes:
        wheel, archive: the files.
    """

    wheel: Path
    archive: Path


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, in a folder that has nothing of the checkout."""

    environment: Path
    folder: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        name, *arguments = command
        typed = [str(self.environment / "bin" / name), *arguments]
        runs = variables(self.folder / "runs")
        return subprocess.run(typed, cwd=self.folder, env=runs, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """By the locked build backend, in this environment and so without an index."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, archive)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = light(tmp_path_factory.mktemp("wheel") / "venv", str(built.wheel))
    return Installed(environment, tmp_path_factory.mktemp("elsewhere"))


def files_of_packages() -> set[str]:
    """Every file of the packages that git has, data files too."""
    listed = subprocess.run(["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = files_of_packages()
    assert {"sweeps/conf/config.yaml", "analysis/report/report.html.j2", "slurm/local_cluster.sh"} <= ours
    assert ours | {"sweep.py"} <= held
    assert {name.partition("/")[0] for name in held} == {*PACKAGES, "sweep.py"}


def test_the_archive_holds_what_a_wheel_is_built_from_and_its_tests(built: Built) -> None:
    with tarfile.open(built.archive) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert files_of_packages() <= held
    for name in BESIDE:
        assert any(each == name or each.startswith(f"{name}/") for each in held), name
    assert not [name for name in held if name.startswith((".venv", ".uv", "runs/", "site/"))]


def test_every_command_of_the_wheel_is_there(installed: Installed) -> None:
    version = installed.run("qae", "--version")
    assert version.returncode == 0, version.stderr
    helped = installed.run("qae", "--help")
    for command in ("audit", "doctor", "report", "resume", "status", "verl-command"):
        assert f"  {command} " in helped.stdout
    package = installed.run("python", "-c", "import qae, sweep; print(qae.__file__, sweep.__file__)")
    assert all(path.startswith(str(installed.environment)) for path in package.stdout.split())


def test_a_sweep_with_options_of_ones_own_is_planned_from_any_folder(installed: Installed) -> None:
    own = installed.folder / "mine" / "model"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(OWN_MODEL)
    plan = ("python", "-m", "sweep", "-m", "--config-dir", "mine", "model=mine", "algorithm.quantile_k=-1,0.4")
    done = installed.run(*plan, "hydra/launcher=slurm", "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "2 to submit" in done.stdout
    wrong = installed.run(*plan, "algorithm.quantile_kk=1", "sweep.dry_run=true")
    assert (wrong.returncode, "quantile_k" in wrong.stderr) == (2, True), wrong.stderr
    assert not (installed.folder / "runs").exists()


def test_it_reads_runs_from_any_folder(installed: Installed) -> None:
    runs = unpack("tabular", installed.folder / "stored")
    for command in (("status", "--root", str(runs)), ("table", str(runs)), ("audit", str(runs))):
        done = installed.run("qae", *command)
        assert done.returncode == 0, (command, done.stderr)
    report = installed.run("qae", "report", str(runs), "--out", "report.html")
    assert report.returncode == 0, report.stderr
    assert (installed.folder / "report.html").stat().st_size > 10_000
