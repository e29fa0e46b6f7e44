"""What a person at a terminal sees: a table that lives, and Ctrl-C that stops in order."""

import os
import pty
import select
import sys
import time
from pathlib import Path

import pytest

from qae.run_directory import RunStatus
from sweeps.run_store.store import RunStore
from tests import ROOT
from tests.support.configs import LONG_STEPS

pytestmark = pytest.mark.slow

LONG = (
    "tracking=none",
    *LONG_STEPS,
    "trainer.total_training_steps=400",
    "trainer.save_freq=100",
    "trainer.test_freq=100",
)


class Terminal:
    """A sweep in a terminal of its own, with the keyboard that goes with it."""

    def __init__(self, runs: Path, *arguments: str) -> None:
        self.text = ""
        self._pid, self._keyboard = pty.fork()
        if self._pid == 0:
            os.environ.update(QAE_RUNS=str(runs), COLUMNS="120", LINES="40", TERM="xterm")
            os.execv(sys.executable, [sys.executable, str(ROOT / "sweep.py"), *arguments])  # noqa: S606

    def read(self, seconds: float) -> bool:
        """Read what comes, for at most so long; False once the program has ended."""
        if not select.select([self._keyboard], [], [], seconds)[0]:
            return True
        try:
            self.text += os.read(self._keyboard, 65536).decode(errors="replace")
        except OSError:  # Linux's way to say that the other side has closed
            return False
        return True

    def press(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def end(self, seconds: float = 600) -> int:
        deadline = time.time() + seconds
        while self.read(0.2):
            assert time.time() < deadline, self.text
        _, status = os.waitpid(self._pid, 0)
        os.close(self._keyboard)
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_shows_a_living_table_and_ctrl_c_leaves_runs_that_go_on(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    terminal = Terminal(store.root, "-m", *LONG, "seed=0,1", "sweep.parts=[]", "resources.parallel=1")
    deadline = time.time() + 120
    while not any(run.read_state().step >= 5 for run in store.runs()):
        assert terminal.read(0.2), terminal.text
        assert time.time() < deadline, terminal.text
    until = time.time() + 2
    while time.time() < until:
        assert terminal.read(0.2), terminal.text
    terminal.press(b"\x03")
    assert terminal.end() == 130, terminal.text
    for seen in ("Plan of sweep", "zero adv.", "running", "planned", "2 runs: ", " left", "cancelled"):
        assert seen in terminal.text
    assert "The same command goes on from here." in terminal.text
    assert "Traceback" not in terminal.text
    statuses = sorted(run.read_state().status for run in store.runs())
    assert statuses == [RunStatus.CANCELLED, RunStatus.PLANNED]
    (stopped,) = [run for run in store.runs() if run.read_state().status is RunStatus.CANCELLED]
    assert stopped.read_state().reason == f"stopped by SIGINT after step {stopped.read_state().step}"
    assert list(stopped.checkpoints.glob(f"step-{stopped.read_state().step:06d}.pt"))
    assert not list(tmp_path.glob("runs/*/state.json.tmp"))


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    # A step of several seconds, so that the first Ctrl-C has something to wait for.
    slow = ("data.train_batch_size=8192", "data.gen_batch_size=8192", "actor_rollout_ref.rollout.n=16")
    terminal = Terminal(store.root, *LONG, *slow)
    deadline = time.time() + 120
    while not any(run.read_state().latest for run in store.runs()):
        assert terminal.read(0.2), terminal.text
        assert time.time() < deadline, terminal.text
    terminal.press(b"\x03")
    until = time.time() + 0.5
    while time.time() < until:
        assert terminal.read(0.1), terminal.text
    terminal.press(b"\x03")
    assert terminal.end() == 130, terminal.text
    (run,) = store.runs()
    assert store.state(run).status is RunStatus.PREEMPTED
