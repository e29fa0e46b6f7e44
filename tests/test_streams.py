"""Output that nobody takes: a command that prints ends in order, a launch goes on, and nothing is lost in silence."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qae.run_directory import RunStatus
from sweeps.run_store.store import RunStore
from tests import ROOT
from tests.analysis.stores import write_sweep
from tests.support import forks
from tests.support.configs import QUICK
from tests.support.strangers import QAE, SWEEP

pytestmark = [pytest.mark.slow, pytest.mark.long]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
PRINTING = [("table",), ("table", "--csv"), ("table", "--markdown"), ("compare",), ("status",), ("status", "--json")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_sweep(root)
    return root


@pytest.fixture(scope="module")
def qae(request: pytest.FixtureRequest) -> Iterator[forks.Forks]:
    """`qae`, with variables that Python reads at its start where a test has some."""
    with forks.forks_of(forks.QAE, **getattr(request, "param", {})) as server:
        yield server


def shell(line: str, *program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in which "$@" is a program of ours."""
    return subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, *program],
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(
    qae: forks.Forks, command: tuple[str, ...], store: Path
) -> None:
    done = qae.run(*command, "--root", str(store), stdout=forks.CLOSED_PIPE)
    assert done.returncode in (0, 141)
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr


def assert_lost(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1
    assert done.stderr.count("stdout cannot be written") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_a_table_for_which_a_disk_has_no_room_is_an_error(
    qae: forks.Forks, command: tuple[str, ...], store: Path
) -> None:
    assert_lost(qae.run(*command, "--root", str(store), stdout="/dev/full"))


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_a_table_that_nobody_takes_from_the_start_is_an_error(command: tuple[str, ...], store: Path) -> None:
    assert_lost(shell('"$@" >&-', *QAE, *command, "--root", str(store)))


def test_closed_errors_and_input_do_not_matter(store: Path) -> None:
    done = shell('"$@" 2>&- <&-', *QAE, "table", "--root", str(store))
    assert done.returncode == 0
    assert "pass@1" in done.stdout
    done = shell('"$@" 2>&1 >/dev/null | true; echo ${PIPESTATUS[0]}', *QAE, "status", "--root", str(store))
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize("lost", ["> /dev/full", ">&-"])
def test_a_plan_that_is_lost_is_an_error(lost: str, tmp_path: Path) -> None:
    done = shell(f'"$@" {lost}', *SWEEP, "-m", "sweep.dry_run=true", f"sweep.root={tmp_path}")
    assert done.returncode == 1
    assert "stdout cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{ "$@"; echo $? >&2; } | head -2', "stdout is closed"),
        ('"$@" > /dev/full; echo $? >&2', "No space left"),
        ('"$@" >&-; echo $? >&2', "stdout is closed"),
    ],
    ids=["pipe", "disk", "closed"],
)
def test_a_launch_goes_on_without_output_and_says_so(line: str, words: str, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    long = ("trainer.total_training_steps=40", "trainer.test_freq=20", "tracking=none", "seed=0,1", "sweep.parts=[]")
    done = shell(line, *SWEEP, "-m", *QUICK, *long, f"sweep.root={root}")
    assert done.stderr.splitlines()[-1] == "0", done.stderr
    assert done.stderr.count(words) == 1
    assert f"qae status --watch --root {root}" in done.stderr
    assert "Traceback" not in done.stderr
    assert [run.read_state().status for run in RunStore(root).runs()] == [RunStatus.DONE] * 2
    assert list((root / "figures").glob("*/*.png"))


ASCII = {"PYTHONIOENCODING": "ascii"}
C = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("qae", [ASCII, C], ids=["ascii", "posix"], indirect=True)
@pytest.mark.parametrize("command", [*PRINTING, ("advise",), ("guard", "replay"), ("--help",)], ids=" ".join)
def test_output_has_plain_letters_where_there_are_no_others(
    qae: forks.Forks, command: tuple[str, ...], store: Path
) -> None:
    root = () if command == ("--help",) else ("--root", str(store))
    done = qae.run(*command, *root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "UnicodeEncodeError" not in done.stderr


def test_a_plan_has_plain_letters_where_there_are_no_others(tmp_path: Path) -> None:
    done = shell('"$@"', *SWEEP, "-m", "sweep.dry_run=true", f"sweep.root={tmp_path}", **ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "run id" in done.stdout
