"""A short soak: runs on a real Slurm under one fault of each kind at least, then an audit without an error."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster
from tests.slurm.matrix import Row
from tests.slurm.soak import Result, Settings, soak, told
from tests.slurm.soak_world import CLOCK_FOLDER, FAULTS

pytestmark = pytest.mark.slow


def test_nothing_is_lost_doubled_or_half_written(cluster: Cluster, tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(seed=1, runs=9, seconds=0.0, every=1.5, steps=60, sample=3, megabytes=96)
    result = soak(cluster, tmp_path, settings, said.append)
    assert result.errors == [], "\n".join([*said, *told(result, settings)])
    assert sum(result.reasons.values()) > 0
    assert set(result.faults) <= set(FAULTS)
    assert [row.equal for row in result.rows] == [True] * settings.sample


def test_what_is_wrong_after_a_soak_is_named() -> None:
    equal = Row("run a", 1, True, 0, 0, 0.0)
    torn = {"severity": "warning", "kind": "torn line", "run": "b", "sentence": "a half line"}
    assert Result({}, (), 3, {}, (torn,), (equal,)).errors == []
    lost = {"severity": "error", "kind": "missing steps", "run": "c", "sentence": "step 3 is missing"}
    rows = (
        equal,
        Row("run d", 1, False, 0, 0, 0.0),
        Row("run e", 1, True, 1, 0, 0.0),
        Row("run f", 1, True, 0, 1, 0.0),
    )
    errors = Result({}, ("g",), 3, {}, (torn, lost), rows).errors
    assert [next(letter for letter in "abcdefg" if letter in error.split(":")[0].split()) for error in errors] == list(
        "gcdef"
    )


def test_the_clock_of_jobs_jumps_when_its_file_changes(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("86400")
    code = "import sys, time; print(time.time()); open(sys.argv[1], 'w').write('-86400'); print(time.time())"
    environment = {**os.environ, "PYTHONPATH": str(CLOCK_FOLDER), "QAE_SOAK_CLOCK": str(clock)}
    command = [sys.executable, "-c", code, str(clock)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    ahead, behind = (float(line) - time.time() for line in said.split())
    assert ahead > 80_000
    assert behind < -80_000
