"""One way to runs, whatever holds them, and the command that writes them as a table."""

import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from analysis import sources
from analysis.commands import sources as source_commands
from analysis.runs.frames import METRIC_COLUMNS
from analysis.sources import run_store
from qae.run_directory import JsonlWriter
from tests.analysis.stores import write_manifest, write_run, write_sweep


def ids(source: str | Path, root: Path) -> set[str]:
    return {record.id for record in sources.load(source, root=root).records}


@pytest.mark.slow
def test_a_store_a_run_and_a_sweep_are_found(tmp_path: Path) -> None:
    run_ids = write_sweep(tmp_path, "demo")
    other = write_run(tmp_path, "other").run_id
    assert ids(tmp_path, tmp_path) == {*run_ids, other}
    assert ids("demo", tmp_path) == set(run_ids)
    assert ids(tmp_path / "other", tmp_path) == {"other"}


def test_what_is_no_source_is_named_with_what_would_be_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    write_manifest(tmp_path, "torn", [])
    (tmp_path / "sweeps" / "torn.json").write_text("{")
    for source, words in (
        ("nothing", "no sweep in"),
        (tmp_path / "empty", "holds no runs"),
        (tmp_path / "file.txt", "neither an offline file"),
        ("torn", "launch the sweep again"),
    ):
        with pytest.raises(sources.SourceError, match=words):
            sources.load(source, root=tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_export_writes_what_the_runs_have(tmp_path: Path, suffix: str) -> None:
    write_sweep(tmp_path / "runs", "demo")
    out = tmp_path / f"table.{suffix}"
    arguments = ["demo", "--root", str(tmp_path / "runs"), "--out", str(out)]
    result = CliRunner().invoke(source_commands.export, arguments)
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(out) if suffix == "parquet" else pd.read_csv(out)
    expected = run_store.load(tmp_path / "runs").metrics
    assert list(table.columns) == list(METRIC_COLUMNS)
    order = ["run", "step", "name"]
    pd.testing.assert_frame_equal(
        table.sort_values(order, ignore_index=True),
        expected.astype({"run": "str", "name": "str"}).sort_values(order, ignore_index=True)[list(METRIC_COLUMNS)],
        check_dtype=False,
    )


@pytest.mark.slow
def test_export_tells_runs_of_two_sources_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, "same")
    out = tmp_path / "table.parquet"
    one, two = (str(tmp_path / name) for name in ("one", "two"))
    assert CliRunner().invoke(source_commands.export, [one, two, two, "--out", str(out)]).exit_code == 0
    table = pd.read_parquet(out)
    assert set(table["run"]) == {f"{one}:same", f"{two}:same"}
    assert not table.duplicated(["run", "step", "name"]).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing", "--out", "x.csv"], "no file or directory"),
        (["nothing", "--out", "x.json"], "end its name with .parquet or .csv"),
        (["a/b", "--out", "x.csv", "--filter", "{"], "is no JSON"),
        (["a/b", "--out", "x.csv", "--filter", "[]"], "is no JSON object"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(source_commands.export, arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_forty_runs_of_a_store_load_in_seconds(tmp_path: Path) -> None:
    """Five seconds of a core are many times what it takes: no file is read twice, no frame copied for each run."""
    for index in range(40):
        run = write_run(tmp_path, f"r{index:03}", {"seed": index}, evaluate=(0, 6))
        with JsonlWriter(run.metrics) as lines:
            lines.append(
                *({"step": step, **{f"m/{name}": float(step) for name in range(20)}} for step in range(7, 107))
            )
    started = time.process_time()
    runs = sources.load(tmp_path)
    assert time.process_time() - started < 5
    assert len(runs.records) == 40
    assert len(runs.metrics) > 40 * 100 * 20
