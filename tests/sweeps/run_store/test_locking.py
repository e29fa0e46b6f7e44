"""Leases: what holds a run where locks of another machine are not seen."""

import json
import socket
import time
from pathlib import Path

import pytest

from qae.run_directory import RunDirectory
from sweeps.run_store.locking import LEASE_SECONDS, AlreadyRunningError, exclusive, is_locked, leased


def held_by(directory: RunDirectory, host: str, age: float) -> None:
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.lease.write_text(json.dumps({"host": host, "pid": 1, "time": time.time() - age}))


def test_a_fresh_lease_of_another_machine_counts_as_a_lock(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    held_by(directory, "another-node", age=LEASE_SECONDS / 2)
    assert is_locked(directory)
    with pytest.raises(AlreadyRunningError, match="process 1 on another-node"), exclusive(directory, patience=0):
        pass


@pytest.mark.parametrize(("host", "age"), [("another-node", LEASE_SECONDS + 1), (socket.gethostname(), 0.0)])
def test_an_old_lease_and_one_of_this_machine_do_not(host: str, age: float, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    held_by(directory, host, age)
    assert not is_locked(directory)
    with exclusive(directory, patience=0):
        assert is_locked(directory)


def test_a_damaged_lease_holds_nothing(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    directory.lease.write_text("{")
    assert not is_locked(directory)


def test_the_lease_is_there_while_the_run_goes_and_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.run_store.locking._RENEW_SECONDS", 0.02)
    directory = RunDirectory(tmp_path / "run")
    with leased(directory):
        first = json.loads(directory.lease.read_text())
        deadline = time.monotonic() + 10
        while json.loads(directory.lease.read_text())["time"] == first["time"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert first["host"] == socket.gethostname()
    assert not directory.lease.exists()


@pytest.mark.parametrize("lease", ['{"host": "another-node", "pid": 1, "time": "soon"}', '{"host": 1}', "[1]", "{"])
def test_a_lease_of_another_form_holds_nothing(lease: str, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.lease.write_text(lease)
    assert not is_locked(directory)
    with exclusive(directory, patience=0):
        assert is_locked(directory)
