"""What is shown of runs that move: fresh states, time left, the rows that matter."""

from pathlib import Path

import pytest
from rich.console import Console

from qae.console.text import aligned
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.launching.plan import Action, PlannedRun
from sweeps.launching.tables import count, duration, progress_table, sweep_line
from sweeps.launching.watch import Watch, seconds_left, sweep_seconds_left
from sweeps.run_store.locking import exclusive

NOW = 1000.0
STEPS = 10


def run(number: int, state: RunState, total: int = STEPS, path: Path = Path("nowhere")) -> PlannedRun:
    directory = RunDirectory(path / f"{number:012x}")
    return PlannedRun(directory.run_id, (), {}, directory, state, total, Action.START, f"seed={number}")


def running(step: int, seconds_a_step: float, since: float = 0.0) -> RunState:
    heartbeat = NOW - since
    started = heartbeat - seconds_a_step * (step - 2)
    return RunState(RunStatus.RUNNING, step, 10, 1, heartbeat, started, start_step=2)


PLANNED, DONE = RunState(RunStatus.PLANNED), RunState(RunStatus.DONE, 10, 10)


def test_time_left_counts_from_where_the_attempt_began() -> None:
    assert seconds_left(running(6, 2.0), STEPS, NOW) == pytest.approx(8)
    assert seconds_left(running(6, 2.0, since=1.5), STEPS, NOW) == pytest.approx(6.5)
    assert seconds_left(running(6, 2.0, since=100), STEPS, NOW) == 0


@pytest.mark.parametrize("state", [PLANNED, DONE, running(2, 2.0), RunState(RunStatus.FAILED, 5, started=1.0)])
def test_time_left_is_unknown_before_a_rate_is(state: RunState) -> None:
    assert seconds_left(state, STEPS, NOW) is None
    assert sweep_seconds_left([run(0, state)], 2, NOW) is None


def test_the_sweep_takes_as_long_as_its_steps_over_the_places_and_at_least_as_its_longest_run() -> None:
    assert sweep_seconds_left([run(0, running(6, 2.0)), run(1, PLANNED), run(2, DONE)], 1, NOW) == pytest.approx(28)
    assert sweep_seconds_left([run(0, running(6, 2.0)), run(1, PLANNED)], 2, NOW) == pytest.approx(20)
    failed = RunState(RunStatus.FAILED, 1)
    assert sweep_seconds_left([run(0, running(6, 2.0)), run(1, failed)], 1, NOW) == pytest.approx(8)


def test_states_are_read_again_where_they_have_changed(tmp_path: Path) -> None:
    watch, planned = Watch(), run(1, PLANNED, path=tmp_path)
    assert watch.fresh([planned])[0].state == RunState()
    planned.directory.path.mkdir()
    with exclusive(planned.directory):
        for step in range(20):
            planned.directory.write_state(RunState(RunStatus.RUNNING, step))
            assert watch.fresh([planned])[0].state == RunState(RunStatus.RUNNING, step)
    assert watch.fresh([planned])[0].state.status is RunStatus.PREEMPTED  # the file is the same, its process is gone


def test_a_long_sweep_shows_its_running_runs_within_the_terminal() -> None:
    runs = [run(i, DONE if i < 40 else PLANNED) for i in range(100)]
    runs[60] = run(60, running(6, 2.0))
    runs[70] = run(70, RunState(RunStatus.FAILED, 3))
    console = Console(width=100, height=20, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(progress_table(runs, 2, NOW, console.height))
    text = console.export_text()
    assert len(text.splitlines()) <= 20
    assert "seed=60 " in text
    assert "seed=70 " in text
    assert "seed=0 " not in text
    assert "100 runs: 40 done, 1 failed, 58 planned, 1 running; about" in text


def test_words_and_numbers() -> None:
    assert [duration(seconds) for seconds in (None, 0, 61, 3600, 3725.4)] == ["", "0:00", "1:01", "1:00:00", "1:02:05"]
    assert (count(1, "run"), count(2, "run")) == ("1 run", "2 runs")
    assert aligned([("a", "bb"), ("ccc", "")]) == ["a    bb", "ccc"]
    assert sweep_line([run(0, RunState(RunStatus.PREEMPTED))], 1, NOW) == "1 run: 1 interrupted"
