"""A run directory of a newer toolkit is refused in a sentence by every command, and nothing of it changes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from analysis import sources
from qae.files import layout
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.cli import main
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import RunStore, StoreLayoutError
from tests import ROOT
from tests.layouts.packed import unpack
from tests.support.configs import QUICK, embedded_mapping

NEWER = layout.CURRENT + 1
READING = (
    ("status",),
    ("status", "--json"),
    ("table", "."),
    ("compare", "."),
    ("figures", ".", "--out", "figures"),
    ("gallery", "--out", "gallery.md"),
    ("export", ".", "--out", "all.csv"),
    ("report", ".", "--out", "report.html"),
    ("guard", "replay", "."),
    ("advise", "."),
    ("refine", "."),
    ("logs", "74de293c2ff0"),
    ("gc", "--yes"),
    ("cancel", "--all"),
    ("resume", "--all"),
    ("retry", "--failed"),
    ("throttle", "1"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Runs of which one is newer, and half written as this toolkit would see it."""
    root = unpack("best", tmp_path / "runs")
    newer = RunDirectory(root / "74de293c2ff0")
    newer.layout.write_bytes(orjson.dumps({"version": NEWER, "since": "0.9.0"}))
    newer.state.write_text('{"status": "resting", "shards": 4}')
    with newer.metrics.open("ab") as file:
        file.write(b'{"step":')
    return root


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def is_named(text: str) -> bool:
    """Whether a refusal names the directory, its layout and the fix."""
    words = ("74de293c2ff0", f"layout {NEWER}", "toolkit 0.9.0")
    return all(word in " ".join(text.split()) for word in words)


@pytest.mark.slow
@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_commands_refuse_it_and_change_nothing(
    command: tuple[str, ...], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = content(store)
    typed = [str(store) if word == "." else word for word in command]
    refused = CliRunner().invoke(main, typed, env={"QAE_RUNS": str(store), "COLUMNS": "1000"})
    assert refused.exit_code == 2, refused.output
    assert is_named(refused.output)
    assert "Traceback" not in refused.output
    assert content(store) == before


@pytest.mark.slow
def test_an_audit_names_it_and_repairs_nothing_of_it(store: Path) -> None:
    before = content(store)
    audited = CliRunner().invoke(main, ["audit", str(store), "--repair", "--json"])
    assert audited.exit_code == 1, audited.output
    (finding,) = [json.loads(line) for line in audited.stdout.splitlines() if "74de293c2ff0" in line]
    assert finding["kind"] == "layout"
    assert is_named(finding["sentence"])
    assert content(store) == before


@pytest.mark.slow
def test_other_runs_of_the_store_are_read(store: Path) -> None:
    shown = CliRunner().invoke(main, ["table", "tabular", "--json", "--root", str(store)])
    assert shown.exit_code == 0, shown.output
    listed = CliRunner().invoke(main, ["status", "tabular", "--root", str(store)])
    assert listed.exit_code == 0, listed.output


@pytest.mark.slow
def test_a_notebook_hears_the_same_sentence(store: Path) -> None:
    with pytest.raises(sources.SourceError) as refused:
        sources.load(store)
    assert is_named(str(refused.value))


@pytest.mark.slow
def test_a_launch_of_its_run_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    config = embedded_mapping(*QUICK, "tracking.backend=none")
    store = RunStore(tmp_path / "runs")
    directory = store.create(run_id(config), config)
    directory.layout.write_bytes(orjson.dumps({"version": NEWER}))
    before = content(store.root)
    command = [sys.executable, "sweep.py", *QUICK, "tracking=none"]
    environment = {**os.environ, "QAE_RUNS": str(store.root), "COLUMNS": "1000"}
    refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2, refused.stdout
    for words in (str(directory.path), f"layout {NEWER}", "the toolkit that wrote it"):
        assert words in refused.stderr
    assert content(store.root) == before


def test_a_new_directory_says_its_layout_and_the_release_that_reads_it(tmp_path: Path) -> None:
    config = embedded_mapping()
    directory = RunStore(tmp_path).create("0123456789ab", config)
    assert json.loads(directory.layout.read_text()) == {"version": layout.CURRENT, "since": "0.2.0"}
    assert layout.read(directory.path) == layout.CURRENT


@pytest.mark.parametrize("text", ["", "2", "{}", '{"version": "2"}', '{"version": 0}', '{"version": true}', "[2]"])
def test_a_mark_that_says_nothing_is_refused_with_its_file(text: str, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "0123456789ab")
    directory.write_state(RunState(RunStatus.DONE))
    directory.layout.write_text(text)
    with pytest.raises(StoreLayoutError) as refused:
        RunStore(tmp_path).state(directory)
    assert str(directory.layout) in str(refused.value)
    assert "copy" in str(refused.value)
