"""The journal's lock: one holder, seen at once where it was killed; a half line does not spoil the file."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import optuna
import pytest

from sweeps.search import journal
from sweeps.search.journal import LinkLock

pytestmark = pytest.mark.slow

FORK = multiprocessing.get_context("fork")


def _add(counter: Path, lock: Path, times: int) -> None:
    for _ in range(times):
        with LinkLock(lock, 60.0).held():
            number = int(counter.read_text())
            time.sleep(0.0005)
            counter.write_text(str(number + 1))


def test_one_process_at_a_time_holds_it(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [FORK.Process(target=_add, args=(counter, tmp_path / "lock", 50)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert counter.read_text() == "200"


def _hold(lock: Path) -> None:
    LinkLock(lock, 60.0).acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_holder_does_not_keep_it(tmp_path: Path) -> None:
    process = FORK.Process(target=_hold, args=(tmp_path / "lock",))
    process.start()
    process.join(30)
    assert (tmp_path / "lock").is_symlink()
    # Who waits for a grace of an hour does not come to the end of this test.
    with LinkLock(tmp_path / "lock", 3600.0).held():
        assert (tmp_path / "lock").is_symlink()


def test_a_holder_elsewhere_is_waited_for_and_then_taken_for_dead(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("another-machine:1:0")
    started = time.monotonic()
    with LinkLock(tmp_path / "lock", 0.5).held():
        assert time.monotonic() - started > 0.5


def test_a_line_that_a_killed_writer_left_half_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "s" / "journal.log"
    study = optuna.create_study(storage=journal.storage(path), study_name="s")
    study.tell(study.ask(), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"worker')
    again = optuna.load_study(storage=journal.storage(path), study_name="s")
    assert path.read_bytes() == whole
    path.write_bytes(whole + b'{"op_code":4,"worker')  # while this process has it open
    again.tell(again.ask(), 2.0)
    found = optuna.load_study(storage=journal.storage(path), study_name="s")
    assert [trial.value for trial in found.trials] == [1.0, 2.0]
