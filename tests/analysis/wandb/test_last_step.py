"""The last step of W&B's files, against the reader of all their numbers; and what an audit makes of it."""

from pathlib import Path

import pytest

from analysis.sources.wandb.last_step import last_step, tracked
from analysis.sources.wandb.log import NotALogError
from analysis.sources.wandb.offline import read_segment
from qae.tracking.tracked_steps import reader
from tests.analysis.wandb.recorder import record

LAST = 40


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first attempt was killed and whose second one ended."""
    run = tmp_path_factory.mktemp("recorded") / "run"
    record(run, 1, 30, kill=True)
    record(run, 21, LAST)
    return run


@pytest.mark.slow
def test_the_last_step_is_that_of_the_whole_reader(recorded: Path) -> None:
    paths = sorted(recorded.glob("wandb/*run-*/run-*.wandb"))
    assert len(paths) == 2
    for path in paths:
        assert last_step(path.read_bytes()) == read_segment(path).metrics["step"].max()
    found = tracked(recorded)
    assert (found.last, found.files, found.unreadable) == (LAST, 2, ())
    assert reader() is tracked


@pytest.mark.slow
def test_a_cut_file_has_an_earlier_step_and_one_of_something_else_is_named(recorded: Path, tmp_path: Path) -> None:
    path = max(recorded.glob("wandb/*run-*/run-*.wandb"), key=lambda path: last_step(path.read_bytes()) or 0)
    content = path.read_bytes()
    steps = [last_step(content[:end]) or 0 for end in range(len(content) // 2, len(content), 4096)]
    assert steps == sorted(steps)
    assert 21 <= steps[0] < LAST
    odd = tmp_path / "wandb" / "offline-run-1-x" / "run-x.wandb"
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"something else")
    found = tracked(tmp_path)
    assert (found.last, found.files) == (None, 1)
    assert str(odd) in found.unreadable[0]
    with pytest.raises(NotALogError):
        last_step(b"something else")


def test_a_run_without_files_of_wandb_has_none(tmp_path: Path) -> None:
    assert tracked(tmp_path).files == 0
    assert last_step(b"") is None
