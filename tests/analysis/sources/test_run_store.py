"""Reading a run store: tidy, and never stopped by damage."""

from pathlib import Path

import pytest

from analysis.sources import run_store
from qae import metrics
from qae.run_directory import RunDirectory, RunStatus
from tests.analysis.stores import PROBLEMS, correct, entropy, write_run, write_sweep


def test_frames_hold_what_the_files_say(tmp_path: Path) -> None:
    run_ids = write_sweep(tmp_path)
    runs = run_store.load(tmp_path, run_ids)
    assert [str(arm) for arm in runs.arms] == ["mean", "K = 0.4", "mean, clip_symmetric"]
    assert [record.seed for records in runs.arms.values() for record in records] == [0, 1] * 3
    assert runs.records[-1].regularizer == "clip_symmetric"
    assert runs.records[-1].labels["model"] == "tabular"
    quantile = list(runs.arms)[1]
    series = runs.series(quantile, metrics.ENTROPY.name)
    assert list(series.columns) == ["k4-0", "k4-1"]
    for seed in (0, 1):
        assert series[f"k4-{seed}"].to_dict() == {step: entropy(step, seed, 0.4) for step in range(1, 7)}
    counts = runs.counts(quantile).query("run == 'k4-1' and step == 3")
    assert counts["c"].tolist() == [correct(3, 1, problem) for problem in range(PROBLEMS)]
    assert runs.notes == ()


@pytest.mark.slow
def test_the_whole_store_is_read_by_default(tmp_path: Path) -> None:
    assert {record.id for record in run_store.load(tmp_path).records} == set()
    run_ids = write_sweep(tmp_path)
    assert {record.id for record in run_store.load(tmp_path).records} == set(run_ids)


def test_a_metric_that_nobody_logged_is_an_empty_series(tmp_path: Path) -> None:
    runs = run_store.load(tmp_path, [write_run(tmp_path, "a").run_id])
    assert runs.series(next(iter(runs.arms)), metrics.ENTROPY_ZERO.name).empty
    assert not runs.has(metrics.ENTROPY_ZERO.name)


def test_the_last_line_of_a_step_counts(tmp_path: Path) -> None:
    directory = write_run(tmp_path, "a")
    with directory.metrics.open("a") as file:
        file.write('{"step": 2, "actor/entropy": 9.0}\n')
    runs = run_store.load(tmp_path, ["a"])
    series = runs.series(next(iter(runs.arms)), metrics.ENTROPY.name)["a"]
    assert series[2] == 9.0
    assert series.index.is_monotonic_increasing


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (lambda run: run.metrics.open("ab").write(b'{"step": 7, "actor/en'), "Run bad (mean): 1 line"),
        (lambda run: run.metrics.open("ab").write(b"\0\0\0\0\n[1]\n"), "Run bad (mean): 2 lines"),
        (lambda run: run.evaluation.open("ab").write(b'{"step": 6, "data_set": "x"}\n'), "Run bad (mean): 1 line"),
        (
            lambda run: run.evaluation.open("ab").write(
                b'{"step": 6, "data_set": "x", "problem": "y", "n": 4, "c": 5}\n'
            ),
            "Run bad (mean): 1 line",
        ),
        (lambda run: run.state.write_text("{"), "Run bad: its state.json cannot be read"),
        (lambda run: run.config.write_text(": ["), "Run bad is left out: its config.yaml cannot be read"),
        (lambda run: run.config.unlink(), "Run bad is left out: its config.yaml cannot be read"),
    ],
)
def test_damage_is_reported_and_stops_nothing(tmp_path: Path, damage: object, note: str) -> None:
    write_run(tmp_path, "good", {"seed": 1})
    directory = write_run(tmp_path, "bad")
    assert callable(damage)
    damage(directory)
    runs = run_store.load(tmp_path, ["bad", "good"])
    assert [text for text in runs.notes if text.startswith(note)] == list(runs.notes)
    assert len(runs.notes) == 1
    assert len(runs.metrics.query("run == 'good'")) == len(runs.metrics.query("run == 'good'").dropna()) > 0


def test_a_run_that_has_not_started_is_a_record_without_numbers(tmp_path: Path) -> None:
    directory = write_run(tmp_path, "a", steps=0, evaluate=(), status=RunStatus.QUEUED)
    for path in (directory.metrics, directory.evaluation, directory.state):
        path.unlink()
    runs = run_store.load(tmp_path, ["a"])
    assert runs.records[0].status is RunStatus.PLANNED
    assert runs.metrics.empty
    assert runs.evaluations.empty


def test_reading_changes_nothing(tmp_path: Path) -> None:
    directory = RunDirectory(write_run(tmp_path, "a").path)
    before = {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}
    run_store.load(tmp_path)
    assert {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()} == before
