"""A log of a sweep: a line at each event, one for the sweep now and then, and no line twice."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from qae import metrics
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.launching.plan import Action, PlannedRun
from sweeps.launching.progress import Progress

PASS = metrics.pass_at(1).name


class Log:
    """What a sweep of so many runs prints into a file, with a clock that is set by hand."""

    def __init__(self, count: int) -> None:
        self.now = 1000.0
        self.file = io.StringIO()
        self.states = [RunState(RunStatus.PLANNED, total_steps=60) for _ in range(count)]
        self.progress = Progress(Console(file=self.file, width=10_000), 2, clock=lambda: self.now)

    def show(self, seconds: float = 0.3) -> list[str]:
        """Time passes; the lines that are new."""
        self.now += seconds
        before = len(self.file.getvalue())
        self.progress([_run(number, state) for number, state in enumerate(self.states)])
        return self.file.getvalue()[before:].splitlines()


def _run(number: int, state: RunState) -> PlannedRun:
    directory = RunDirectory(Path("nowhere") / f"{number:012x}")
    return PlannedRun(directory.run_id, (), {}, directory, state, 60, Action.START, f"seed={number}")


def test_an_event_is_one_line_and_a_step_is_none() -> None:
    log = Log(2)
    assert len(log.show()) == 1
    log.states[0] = replace(log.states[0], status=RunStatus.RUNNING)
    (line,) = log.show()
    assert "seed=0: running" in line
    for step in range(1, 20):
        log.states[0] = replace(log.states[0], step=step)
        assert log.show() == []
    log.states[0] = replace(log.states[0], latest={PASS: 0.25})
    (line,) = log.show()
    assert "pass@1 0.250" in line
    log.states[0] = replace(log.states[0], reason="guard: entropy explodes")
    (line,) = log.show()
    assert "guard: entropy explodes" in line
    log.states[0] = replace(log.states[0], status=RunStatus.DONE)
    (line,) = log.show()
    assert "done" in line


def test_the_sweep_has_a_line_in_thirty_seconds_where_something_has_changed() -> None:
    log = Log(2)
    log.show()
    assert log.show(100) == []
    log.states[1] = replace(log.states[1], step=3)
    (line,) = log.show()
    assert line.startswith("2 runs: ")
    for step in range(4, 60):
        log.states[1] = replace(log.states[1], step=step)
        log.show(1)
    lines = log.file.getvalue().splitlines()
    assert len(lines) == 3  # at the start, after 100 s and after 30 more


def test_the_end_is_said_once() -> None:
    log = Log(1)
    with log.progress:
        log.show()
        log.states[0] = replace(log.states[0], status=RunStatus.DONE, step=60)
        log.show()
    assert log.file.getvalue().splitlines()[-1] == "1 run: 1 done"
    assert log.file.getvalue().count("1 run: 1 done") == 1


@pytest.mark.slow
def test_the_log_of_a_thousand_runs_stays_short() -> None:
    log = Log(1000)
    lines = len(log.show())
    for start in range(0, 1000, 20):
        for status in (RunStatus.RUNNING, RunStatus.DONE):
            for number in range(start, start + 20):
                log.states[number] = replace(log.states[number], status=status, latest={PASS: number / 1000})
            lines += len(log.show(2))
    # 200 s: a line of the sweep and at most twenty events in each half minute.
    assert lines <= 1 + 7 * 21
    log.states[0] = replace(log.states[0], status=RunStatus.FAILED, reason="out of memory")
    log.states[1:] = [replace(state, step=60, status=RunStatus.PLANNED) for state in log.states[1:]]
    shown = log.show(30)
    assert "out of memory" in "".join(shown)
    assert "events not shown" in shown[-1]
    assert len(shown) <= 22
