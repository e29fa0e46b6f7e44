"""Where runs stand: what a line and an object say, and how fast a thousand are listed."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.cli import main
from sweeps.commands.status import (
    HEADER,
    InQueue,
    as_json,
    is_over,
    most_interesting,
    queued_for,
    row,
    sparkline,
    summary,
    table,
)
from sweeps.run_store.locking import exclusive
from sweeps.run_store.selection import StoredRun

NOW = 1000.0
RUNNING = RunState(
    RunStatus.RUNNING, 6, 10, 2, NOW, NOW - 8, 2, 1, "host", latest={"actor/entropy": 0.5}, job="7_0", node="n1"
)
QUEUED = RunState(RunStatus.QUEUED, 0, 10, job="7_1")
HELD = InQueue("7_1", True, True, "launch failed requeued held", "")


def stored(state: RunState, path: Path = Path("nowhere"), run_id: str = "0" * 12) -> StoredRun:
    return StoredRun(RunDirectory(path / run_id), "s", ("seed=0",), "seed=0", state)


def cells(run: StoredRun, queued: InQueue | None = None) -> dict[str, str]:
    return dict(zip(HEADER, row(run, queued, NOW), strict=True))


def test_a_line_says_how_far_a_run_is_and_where() -> None:
    found = cells(stored(RUNNING), InQueue("7_0", False, False, "", "n1"))
    assert (found["status"], found["step"], found["entropy"], found["time left"]) == (
        "running",
        "6/10",
        "0.500",
        "0:08",
    )
    assert (found["node"], found["job"], found["attempts"], found["reason"]) == ("n1", "7_0", "2", "")


@pytest.mark.parametrize(
    ("state", "queued", "status", "reason"),
    [
        (QUEUED, InQueue("7_1", True, False, "Priority", ""), "queued", "Priority"),
        (QUEUED, HELD, "held", "launch failed requeued held; `qae resume 000000000000` releases it"),
        # It was interrupted, and waits for its next attempt.
        (RunState(RunStatus.PREEMPTED, reason="stopped by SIGTERM"), HELD, "held", HELD.reason),
        # squeue's answer is some seconds old.
        (RUNNING, InQueue("7_0", True, False, "Resources", ""), "running", ""),
        (RunState(RunStatus.DONE), InQueue("7_0", True, False, "Resources", ""), "done", ""),
        (RunState(RunStatus.PREEMPTED, reason="its node died"), None, "interrupted", "its node died"),
    ],
)
def test_the_queue_says_of_a_run_that_waits_why(
    state: RunState, queued: InQueue | None, status: str, reason: str
) -> None:
    found = cells(stored(state), queued)
    assert found["status"] == status
    assert found["reason"].startswith(reason)


def test_an_object_says_the_same_to_scripts() -> None:
    state = RunState(RunStatus.FAILED, 3, 10, 2, reason="no", exit_reason="crash", reasons={"crash": 2}, job="7_0")
    found = as_json(stored(state), None, NOW)
    assert json.loads(json.dumps(found)) == found
    assert found["overrides"] == ["seed=0"]
    assert (found["status"], found["reason"], found["exit_reason"], found["reasons"]) == (
        ("failed", "no", "crash", {"crash": 2})
    )
    assert (found["step"], found["total_steps"], found["job"], found["seconds_left"]) == (3, 10, "7_0", None)
    assert as_json(stored(RUNNING), None, NOW)["actor/entropy"] == 0.5


def test_entropies_of_the_last_steps_are_bars(tmp_path: Path) -> None:
    run = stored(RUNNING, tmp_path)
    run.directory.path.mkdir()
    lines = [{"step": i, "actor/entropy": 0.1 if i < 300 else i / 400, "padding": "x" * 600} for i in range(400)]
    lines.append({"step": 400, "val/overall/pass@1": 0.5})  # a step without an update
    run.directory.metrics.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    bars = cells(run)[""]
    assert bars == "".join(sorted(bars))  # it rises, as do the last hundred
    assert (bars[0], bars[-1]) == ("▁", "█")
    assert cells(stored(RUNNING, tmp_path / "none"))[""] == ""


def test_bars_go_from_the_lowest_to_the_highest() -> None:
    assert sparkline([]) == ""
    assert sparkline([2.0, 2.0]) == "▄▄"
    assert sparkline([0.0, 1.0, 0.5]) == "▁█▅"
    assert len(sparkline([float(i) for i in range(1000)])) == 12


def test_statuses_are_counted_and_the_rows_that_move_come_first() -> None:
    states = [RunState(RunStatus.DONE), QUEUED, RUNNING, RunState(RunStatus.DONE)]
    runs = [stored(state, run_id=f"{number:012x}") for number, state in enumerate(states)]
    assert summary(runs, {"000000000001": HELD}) == "4 runs: 2 done, 1 held, 1 running"
    assert summary([], {}) == "0 runs"
    assert [run.state.status for run in most_interesting(runs, 2)] == ["queued", "running"]
    assert len(table(runs, {}, NOW)[0]) == 5


def test_a_run_is_over_once_nothing_will_happen_to_it() -> None:
    for status in (RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.PREEMPTED):
        assert is_over(stored(RunState(status)), None)
        assert not is_over(stored(RunState(status)), HELD)
    for status in (RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.PLANNED):
        assert not is_over(stored(RunState(status)), None)


def test_how_long_a_run_says_queued(tmp_path: Path) -> None:
    run = stored(QUEUED, tmp_path)
    assert queued_for(run, time.time()) == 0  # nobody wrote it down
    run.directory.write_state(QUEUED)
    os.utime(run.directory.state, (NOW, NOW))
    assert queued_for(run, NOW + 90) == 90
    assert queued_for(stored(RUNNING, tmp_path), NOW + 90) == 0


def test_a_process_that_holds_the_lock_runs_and_a_dead_one_was_interrupted(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "0123456789ab")
    directory.write_state(RUNNING)
    directory.config.write_text("seed: 0\n")

    def shown() -> dict[str, object]:
        result = CliRunner().invoke(main, ["status", "0123", "--json", "--root", str(tmp_path)])
        found: dict[str, object] = json.loads(result.output.splitlines()[0])
        return found

    with exclusive(directory):
        assert shown()["status"] == "running"
    assert shown()["status"] == "interrupted"


@pytest.mark.slow
def test_a_thousand_runs_are_listed_fast(tmp_path: Path) -> None:
    """Below a second on a quiet machine (docs/commands.md); here the machine may be busy, and its cores slower."""
    line = orjson.dumps({"step": 1, "actor/entropy": 0.5, "padding": "x" * 1000}, option=orjson.OPT_APPEND_NEWLINE)
    state = orjson.dumps(asdict(RunState(RunStatus.DONE, 60, 60, 1, latest={"actor/entropy": 0.5})))
    runs = [{"id": f"{number:012x}", "overrides": [f"seed={number}"]} for number in range(1000)]
    for run in runs:
        directory = RunDirectory(tmp_path / str(run["id"]))
        directory.path.mkdir()
        directory.config.write_bytes(b"seed: 0\n")
        directory.metrics.write_bytes(60 * line)
        directory.state.write_bytes(state)
    manifest = {"name": "s", "command": [], "created": 0.0, "axes": {"seed": ["0", "1"]}, "runs": runs}
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "s.json").write_bytes(orjson.dumps(manifest))
    seconds = []
    for options in (("--where", "seed>=0"), ("--json",)):
        command = [sys.executable, "-m", "sweeps.cli", "status", "--root", str(tmp_path), *options]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert len(output.splitlines()) == (1000 if options == ("--json",) else 1001)
    assert max(seconds) < 8
