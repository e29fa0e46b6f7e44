"""The real client's offline files: finished, killed, continued, being written, damaged."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from analysis import sources
from analysis.runs.frames import Runs
from analysis.sources import cache
from analysis.sources.wandb import offline as wandb_offline
from analysis.sources.wandb.log import Log
from qae import metrics
from qae.run_directory import RunStatus
from tests.analysis.wandb.recorder import row

pytestmark = pytest.mark.slow
KILLED_AT, LAST = 60, 80


@pytest.fixture
def recorded(continued_run: Path) -> Path:
    """A run that was killed at step 60 and continued after its checkpoint at 40."""
    return continued_run


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QAE_CACHE", str(tmp_path / "cache"))


def values(runs: Runs, name: str) -> dict[int, float]:
    (arm,) = runs.arms
    series = runs.series(arm, name)
    return {int(step): float(value) for step, value in zip(series.index, series["aaaa"], strict=True)}


def file_of(run: Path, index: int) -> Path:
    return wandb_offline.offline_files(run / "wandb")[index]


def test_a_continued_run_has_every_step_once_with_the_numbers_that_were_logged(recorded: Path) -> None:
    for path in (recorded / "wandb", file_of(recorded, 1).parent):
        assert [run.id for run in sources.load(path).records] == ["aaaa"]
    runs = sources.load(recorded / "wandb")
    (run,) = runs.records
    assert (run.id, run.status, run.step, run.seed) == ("aaaa", RunStatus.DONE, LAST, 1)
    assert str(run.arm) == "K = 0.4"
    assert run.regularizer == "clip_higher"
    for name in (metrics.ENTROPY.name, metrics.LENGTH_MEAN.name, "more/59"):
        assert values(runs, name) == {step: row(step, 60)[name] for step in range(1, LAST + 1)}
    assert not any(name.startswith("_") for name in runs.metrics["name"].cat.categories)


def test_a_killed_writer_loses_its_last_block_and_the_note_says_so(recorded: Path) -> None:
    killed = file_of(recorded, 0)
    runs = sources.load(killed)
    assert runs.records[0].status is RunStatus.RUNNING
    last = runs.records[0].step
    assert 0 < last < KILLED_AT
    assert values(runs, metrics.ENTROPY.name).keys() == set(range(1, last + 1))
    (note,) = runs.notes
    assert str(killed) in note
    assert "the writer was killed or is still writing" in note


def test_a_file_cut_between_two_records_has_a_note_too(recorded: Path, tmp_path: Path) -> None:
    content = file_of(recorded, 1).read_bytes()
    cut = next(size for size in range(len(content) // 2, 0, -1) if is_whole(content[:size]))
    between = tmp_path / "run-aaaa.wandb"
    between.write_bytes(content[:cut])
    runs = sources.load(between)
    assert runs.records[0].status is RunStatus.RUNNING
    assert runs.notes == (f"{between}: its end is missing; the writer was killed or is still writing.",)


def is_whole(content: bytes) -> bool:
    log = Log(content)
    return len(list(log.records())) > 0 and not log.gaps


def test_a_file_with_a_hole_gives_all_rows_around_it(recorded: Path, tmp_path: Path) -> None:
    whole = file_of(recorded, 1)
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    damaged = tmp_path / whole.parent.name / whole.name
    damaged.parent.mkdir()
    damaged.write_bytes(content)
    runs = sources.load(damaged)
    expected = values(sources.load(whole), metrics.ENTROPY.name)
    found = values(runs, metrics.ENTROPY.name)
    assert found.items() <= expected.items()
    # A row and the summary after it take 4 kB together.
    assert len(expected) - 4 <= len(found) < len(expected)
    (note,) = runs.notes
    assert "bytes from byte" in note
    assert "all other records were read" in note


def test_a_file_that_grows_is_read_again(recorded: Path, tmp_path: Path) -> None:
    content = file_of(recorded, 1).read_bytes()
    growing = tmp_path / "run-aaaa.wandb"
    growing.write_bytes(content[: len(content) // 2])
    before = sources.load(growing).records[0].step
    growing.write_bytes(content)
    assert before < sources.load(growing).records[0].step == LAST


def test_an_unchanged_file_is_read_from_the_cache_and_equals_itself(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sources.load(recorded / "wandb")
    monkeypatch.setattr(wandb_offline, "parse", None)
    second = sources.load(recorded / "wandb")
    assert second.records == first.records
    assert second.metrics.equals(first.metrics)
    assert second.notes == first.notes


@pytest.mark.parametrize("damage", [b"", b"ARROW1", b"ARROW1\0\0" + bytes(400) + b"ARROW1"])
def test_a_damaged_cache_is_no_cache(recorded: Path, damage: bytes) -> None:
    first = sources.load(recorded / "wandb")
    kept = [path for path in cache.directory().rglob("*") if path.is_file()]
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(damage)
    assert sources.load(recorded / "wandb").metrics.equals(first.metrics)


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QAE_CACHE", str(tmp_path / "file"))
    assert sources.load(recorded / "wandb").records[0].step == LAST


def test_readers_at_the_same_time_do_not_disturb_each_other(recorded: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        frames = list(pool.map(lambda _: sources.load(recorded / "wandb").metrics, range(12)))
    assert all(frame.equals(frames[0]) for frame in frames)
    assert not list(cache.directory().rglob("*.tmp"))


def test_a_file_of_another_kind_is_left_out_and_named(recorded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wandb"
    shutil.copytree(recorded / "wandb", folder, symlinks=True)
    (folder / "offline-run-20200101_000000-zzzz").mkdir()
    (folder / "offline-run-20200101_000000-zzzz" / "run-zzzz.wandb").write_bytes(os.urandom(5000))
    runs = sources.load(folder)
    assert any("run-zzzz.wandb is left out" in note for note in runs.notes)
    assert "aaaa" in {run.id for run in runs.records}
