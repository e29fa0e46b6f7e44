"""Another user's store, by a user without a home and a name: everything that reads works, and no file is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.commands import output
from qae.console.command_line import MistakeError
from tests.analysis.stores import write_sweep
from tests.support.configs import QUICK
from tests.support.strangers import QAE, SWEEP, read_only, run_as_stranger, writable

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store that can be read only."""
    root = tmp_path_factory.mktemp("theirs") / "runs"
    root.mkdir()
    write_sweep(root)
    root.parent.chmod(0o755)
    read_only(root)
    yield root
    writable(root)


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("table",),
        ("compare",),
        ("advise",),
        ("guard", "replay"),
        ("doctor",),
        ("gc",),
    ],
    ids=" ".join,
)
def test_what_reads_only_reads(command: tuple[str, ...], store: Path, tmp_path: Path) -> None:
    done = run_as_stranger(QAE, *command, "--root" if command[0] != "doctor" else f"sweep.root={store}",
                           *([str(store)] if command[0] != "doctor" else []), cwd=tmp_path)  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    assert done.returncode == (1 if command[0] == "doctor" else 0), done.stderr  # which says that it cannot be written
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (("figures", "entropy_and_pass", "--format", "png"), "figures/demo/entropy_and_pass.png"),
        (("report", "--no-figures"), "figures/demo.html"),
    ],
    ids=["figures", "report"],
)
def test_what_is_made_goes_to_the_working_directory(
    command: tuple[str, ...], written: str, store: Path, tmp_path: Path
) -> None:
    done = run_as_stranger(QAE, *command, "--root", str(store), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / written).stat().st_size
    said = next(line for line in done.stderr.splitlines() if "cannot be written" in line)
    assert str(store / "figures") in said
    assert str(tmp_path / "figures") in said


@pytest.mark.parametrize(
    "command",
    [
        ("figures", "entropy_and_pass", "--out", "{}/mine"),
        ("report", "--no-figures", "--out", "{}/mine.html"),
        ("gallery", "--out", "{}/mine.md"),
        ("export", "{}", "--out", "{}/mine.csv"),
    ],
    ids=lambda command: command[0],
)
def test_a_wanted_place_that_cannot_be_written_is_refused(
    command: tuple[str, ...], store: Path, tmp_path: Path
) -> None:
    done = run_as_stranger(QAE, *(word.format(store) for word in command), "--root", str(store), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "--out" in done.stderr
    assert str(store) in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_needs_neither_a_home_nor_a_name(tmp_path: Path) -> None:
    arguments = (*QUICK, "trainer.total_training_steps=1", f"sweep.root={tmp_path}/runs")
    done = run_as_stranger(SWEEP, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = "".join(path.read_text() for path in tmp_path.glob("runs/*/logs/*.log"))
    assert "W&B could not" not in logs, logs
    assert list(tmp_path.glob("runs/*/wandb/offline-run-*/*.wandb"))
    assert list(tmp_path.glob("runs/figures/single/*.png")), done.stdout + done.stderr


def test_a_done_sweep_is_shown_from_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    theirs.mkdir()
    mine.mkdir()
    arguments = (*QUICK, "tracking=none", "trainer.total_training_steps=1", f"sweep.root={theirs}/runs")
    first = run_as_stranger(SWEEP, *arguments, cwd=theirs)
    assert first.returncode == 0, first.stderr
    read_only(theirs / "runs")
    theirs.chmod(0o555)
    done = run_as_stranger(SWEEP, *arguments, cwd=mine)
    theirs.chmod(0o755)
    writable(theirs / "runs")
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert "Results" in done.stdout


def test_a_file_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, store = tmp_path / "here", tmp_path / "runs"
    here.mkdir()
    store.mkdir()
    monkeypatch.chdir(here)
    (store / "figures").write_text("")
    assert output.folder(None, store, Path("figures", "demo")) == here / "figures" / "demo"
    (here / "figures").write_text("")
    with pytest.raises(MistakeError, match="--out"):
        output.folder(None, store, Path("figures", "demo"))
    with pytest.raises(MistakeError, match="figures"):
        output.file(store / "figures" / "mine.html", store, Path("figures", "demo.html"))
    assert output.file(here / "mine.html", store, Path("figures", "demo.html")) == here / "mine.html"
