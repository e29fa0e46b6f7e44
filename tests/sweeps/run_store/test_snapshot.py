"""Copies of the code at launch."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qae.errors import ConfigError
from sweeps.run_store import snapshot


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A checkout with a tracked, an edited, a deleted, an untracked and an ignored file, a program and a link."""
    folder = tmp_path / "checkout"
    (folder / "sweeps").mkdir(parents=True)
    for name in ("kept.py", "edited.py", "deleted.py", "run.sh"):
        (folder / "sweeps" / name).write_text(f"'{name}'\n")
    (folder / "sweeps" / "run.sh").chmod(0o755)
    (folder / "sweeps" / "link.py").symlink_to("kept.py")
    (folder / ".gitignore").write_text("ignored\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    (folder / "sweeps" / "edited.py").write_text("'edited'\n")
    (folder / "sweeps" / "deleted.py").unlink()
    (folder / "sweeps" / "néw\nfile.py").write_text("'new'\n")
    (folder / "ignored").write_text("secret\n")
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_a_copy_has_what_git_would_take_and_says_where_it_is_from(code: Path, tmp_path: Path) -> None:
    copy = snapshot.take(tmp_path / "runs", code)
    assert copy.parent == tmp_path / "runs" / "sweeps" / "code"
    source_names = {"kept.py", "edited.py", "run.sh", "link.py", "néw\nfile.py"}
    assert names(copy) == {f"sweeps/{name}" for name in source_names} | {".gitignore", ".qae-snapshot.json"}
    assert (copy / "sweeps" / "edited.py").read_text() == "'edited'\n"
    assert (copy / "sweeps" / "link.py").readlink() == Path("kept.py")
    assert os.access(copy / "sweeps" / "run.sh", os.X_OK)
    assert not os.access(copy / "sweeps" / "kept.py", os.X_OK)
    source = snapshot.source_of(copy)
    assert source == snapshot.Source(git(code, "rev-parse", "HEAD"), source.diff, ("sweeps/néw\nfile.py",))
    assert source.diff is not None
    assert "+'edited'" in source.diff
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]  # no half copy stays behind


def test_the_same_code_is_copied_once_and_an_edit_makes_another(code: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = snapshot.take(runs, code)
    assert snapshot.take(runs, code) == first
    (code / "sweeps" / "kept.py").write_text("'other'\n")
    second = snapshot.take(runs, code)
    assert second != first
    assert (first / "sweeps" / "kept.py").read_text() == "'kept.py'\n"
    # Launched from a copy, as a job that launches jobs would.
    third = snapshot.take(tmp_path / "elsewhere", second)
    assert (names(third), snapshot.source_of(third)) == (names(second), snapshot.source_of(second))


def test_a_store_inside_the_checkout_is_not_copied_into_itself(code: Path) -> None:
    runs = code / "my runs"
    (runs / "0123456789ab").mkdir(parents=True)
    (runs / "0123456789ab" / "metrics.jsonl").write_text("{}\n")
    first = snapshot.take(runs, code)
    assert not [name for name in names(first) if "my runs" in name]
    assert snapshot.take(runs, code) == first


def test_outside_git_the_packages_are_copied(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    for name in ("qae/a.py", "sweeps/conf/config.yaml", "torch/large.py", "qae/__pycache__/a.pyc", "sweep.py"):
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_text("x = 1\n")
    copy = snapshot.take(tmp_path / "runs", installed)
    assert names(copy) == {"qae/a.py", "sweeps/conf/config.yaml", "sweep.py", ".qae-snapshot.json"}
    assert snapshot.source_of(copy) == snapshot.Source(None, None)


def test_data_in_the_checkout_is_refused_by_name(code: Path, tmp_path: Path) -> None:
    with (code / "weights.bin").open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(ConfigError, match=r"sweep\.snapshot=.*200 MB.*weights\.bin"):
        snapshot.take(tmp_path / "runs", code)
    assert not (tmp_path / "runs").exists()


def test_the_umask_decides_who_may_read(code: Path, tmp_path: Path) -> None:
    script = "import os, sys; os.umask(0o077)\nfrom pathlib import Path\nfrom sweeps.run_store import snapshot\n"
    script += "print(snapshot.take(Path(sys.argv[1]), Path(sys.argv[2])))"
    command = [sys.executable, "-c", script, str(tmp_path / "runs"), str(code)]
    copy = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    paths = [path for path in Path(copy).rglob("*") if not path.is_symlink()]
    assert paths
    assert not [path for path in (Path(copy), *paths) if stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.slow
def test_jobs_record_the_commit_of_the_copy_that_they_run_from(tmp_path: Path) -> None:
    copy = snapshot.take(tmp_path / "runs")
    script = (
        "import sys; from pathlib import Path; from qae.run_directory import RunDirectory; import sweeps\n"
        "from sweeps.run_store import provenance\n"
        "provenance.record_attempt(RunDirectory(Path(sys.argv[1])), 1, 1, ()); print(sweeps.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    shown = subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True, text=True).stdout
    assert shown.strip() == str(copy / "sweeps" / "__init__.py")  # not the checkout's, though that is installed
    (attempt,) = json.loads((tmp_path / "run" / "provenance.json").read_text())["attempts"]
    assert (attempt["commit"], attempt["diff"]) == (snapshot.source_of().commit, snapshot.source_of().diff)
    assert attempt["commit"]
