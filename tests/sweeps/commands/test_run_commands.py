"""Commands on runs of this machine: logs, cancel, retry, resume and gc, on what a real sweep left and still does."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qae.run_directory import RunDirectory, RunState, RunStatus, read_metrics
from sweeps.cli import main
from sweeps.run_store.store import RunStore
from sweeps.worker.reasons import ExitReason
from tests.support.configs import QUICK
from tests.support.processes import python

pytestmark = pytest.mark.slow

STEPS = 200
WAIT_SECONDS = 200
LENGTH = "trainer.total_training_steps"


def command(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return python(*arguments, QAE_RUNS=str(root), COLUMNS="200")


def qae(root: Path, *arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(main, [*arguments, "--root", str(root)], input=answer)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS} s for {what}"
        time.sleep(0.02)


class Played:
    """A sweep of a run that ends, one that fails and one that is cancelled; then the last two are started again."""

    def __init__(self, root: Path) -> None:
        self.store = RunStore(root)
        self.outputs: dict[str, str] = {}
        self.codes: dict[str, int] = {}
        sweep = command(
            root,
            "sweep.py",
            "-m",
            "tracking=none",
            *(setting for setting in QUICK if not setting.startswith(LENGTH)),
            "sweep.name=s",
            "resources.parallel=2",
            f"sweep.parts=[{{seed:[0],{LENGTH}:[6]}},{{seed:[1],{LENGTH}:[6],data.reward_noise.random:[1.0]}},"
            f"{{seed:[2],{LENGTH}:[{STEPS}]}}]",
        )
        wait_for(lambda: len(self.store.runs()) == 3, "the runs to be planned")
        self.done, self.failed, self.cancelled = (self._of_seed(seed) for seed in range(3))
        following = command(root, "-m", "sweeps.cli", "logs", "--follow", self.failed.run_id[:8])
        wait_for(lambda: self.cancelled.read_state().step >= 3, "the long run to be under way")
        self.running = json.loads(qae(root, "status", "--json", "--where", "seed=2").output.splitlines()[0])
        self._keep("cancel", qae(root, "cancel", "--where", "seed=2"))
        self._keep("sweep", sweep)
        self._keep("follow", following)
        self.after = {run.run_id: run.read_state() for run in self.store.runs()}
        self._keep("oom", qae(root, "retry", "--oom"))
        retry = command(root, "-m", "sweeps.cli", "retry", "--failed", "s")
        self._keep("resume", command(root, "-m", "sweeps.cli", "resume", "--where", "seed=2"))
        self._keep("retry", retry)

    def _of_seed(self, seed: int) -> RunDirectory:
        (run,) = [run for run in self.store.runs() if f"\nseed: {seed}\n" in run.config.read_text()]
        return run

    def _keep(self, name: str, ended: "subprocess.Popen[str] | Result") -> None:
        if isinstance(ended, Result):
            self.codes[name], self.outputs[name] = ended.exit_code, ended.output
        else:
            self.outputs[name], _ = ended.communicate(timeout=WAIT_SECONDS)
            self.codes[name] = ended.returncode


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return Played(tmp_path_factory.mktemp("store") / "runs")


def test_logs_are_what_the_last_attempt_printed(played: Played) -> None:
    result = qae(played.store.root, "logs", played.failed.run_id)
    assert result.output == (played.failed.logs / "attempt-2.log").read_text()
    assert "nothing to learn from" in result.output


def test_logs_follow_a_run_from_before_its_start_to_its_end(played: Played) -> None:
    assert played.codes["follow"] == 0
    assert played.outputs["follow"] == (played.failed.logs / "attempt-1.log").read_text()


def test_a_run_that_is_cancelled_here_stops_with_a_checkpoint_and_resumes(played: Played) -> None:
    assert (played.running["status"], played.running["attempt"], played.running["job"]) == ("running", 1, None)
    assert played.codes["cancel"] == 0
    assert "Cancelled 0 jobs; stopping 1 run on this machine." in played.outputs["cancel"]
    after = played.after[played.cancelled.run_id]
    assert (after.status, after.reason) == (RunStatus.CANCELLED, f"stopped by SIGTERM after step {after.step}")
    assert after.step < STEPS
    assert played.codes["resume"] == 0, played.outputs["resume"]
    state = played.cancelled.read_state()
    assert (state.status, state.attempt) == (RunStatus.DONE, 2)
    lines = [json.loads(line)["step"] for line in played.cancelled.metrics.read_text().splitlines()]
    assert lines == list(range(STEPS + 1))  # it went on from the step that it was stopped after


def test_a_failed_run_is_tried_again_and_counts_its_attempts(played: Played) -> None:
    assert played.codes["retry"] == 1, played.outputs["retry"]
    assert played.after[played.failed.run_id].attempt == 1
    state = played.failed.read_state()
    assert (state.status, state.attempt, state.exit_reason) == (RunStatus.FAILED, 2, ExitReason.CRASH)
    assert played.done.read_state().attempt == 1
    assert played.outputs["oom"] == "No run is to be started.\n"  # it has crashed


def test_runs_keep_their_place_in_the_sweep_when_they_are_started_again(played: Played) -> None:
    ids = [run.id for run in played.store.manifest("s").runs]
    assert ids == [played.done.run_id, played.failed.run_id, played.cancelled.run_id]


def test_checkpoints_of_done_runs_are_removed_once_that_is_said_twice(played: Played) -> None:
    root, done = played.store.root, (played.done, played.cancelled)
    kept = {path: path.read_bytes() for run in played.store.runs() for path in run.path.glob("*.*") if path.is_file()}
    checkpoints = [path for run in done for path in run.checkpoints.iterdir()]
    assert checkpoints
    refused = qae(root, "gc", answer="n\n")
    assert refused.exit_code == 1
    assert "Remove the checkpoints of 2 done runs, " in refused.output
    assert all(path.exists() for path in checkpoints)
    assert qae(root, "gc").exit_code == 1  # nobody to ask
    assert all(path.exists() for path in checkpoints)
    removed = qae(root, "gc", "s", "--where", "seed!=2", "--yes")
    assert removed.exit_code == 0
    assert removed.output.startswith("Removed ")
    assert not played.done.checkpoints.exists()
    assert list(played.cancelled.checkpoints.iterdir())
    assert qae(root, "gc", answer="y\n").exit_code == 0
    assert not played.cancelled.checkpoints.exists()
    assert {path: path.read_bytes() for path in kept} == kept
    assert read_metrics(played.done).records
    assert "No done run has checkpoints." in qae(root, "gc").output


def test_the_checkpoints_of_a_failed_run_stay(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for number, status in enumerate((RunStatus.FAILED, RunStatus.PREEMPTED, RunStatus.CANCELLED)):
        run = store.directory(f"{number:012x}")
        run.checkpoints.mkdir(parents=True)
        run.config.write_text("seed: 0\n")
        (run.checkpoints / "step-000002.pt").write_bytes(b"weights")
        run.write_state(RunState(status))
    assert "No done run has checkpoints." in qae(tmp_path, "gc", "--yes").output
    assert all(list(run.checkpoints.iterdir()) for run in store.runs())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status", "nothing"), "no sweep and no run 'nothing' in "),
        (("logs", "nothing"), "no sweep and no run 'nothing' in "),
        (("logs", "two"), "'two' is a sweep; name one of its runs, such as "),
        (("logs", "000000000000"), "run 000000000000 is planned and has printed nothing yet"),
        (("gc", "--where", "seed"), "'seed' is no condition"),
        (("cancel",), "name sweeps or runs, or choose some with --where; --all stops every run of the store"),
        (("resume",), "name sweeps or runs, or choose some with --where; --all continues every run of the store"),
        (("retry",), "name sweeps or runs, or choose some with --failed, --oom or --where"),
        (("cancel", "--where", "sede=0"), "no run has 'sede'; did you mean seed?"),
        (("throttle", "many"), "'many' is not a valid integer"),
        (("throttle", "-1"), "No such option"),
        (("resume", "two"), "config.yaml describes another run by now; launch its sweep again"),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    store = RunStore(tmp_path)
    (tmp_path / "sweeps").mkdir()
    for number in range(2):
        store.directory(f"{number:012x}").path.mkdir()
        store.directory(f"{number:012x}").config.write_text("algorithm: {quantile_k: -1}\nseed: 0\n")
    (tmp_path / "sweeps" / "two.json").write_text(
        json.dumps(
            {
                "name": "two",
                "command": [],
                "created": 0,
                "axes": {},
                "runs": [{"id": f"{number:012x}", "overrides": []} for number in range(2)],
            }
        )
    )
    before = sorted(tmp_path.rglob("*"))
    result = qae(tmp_path, *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert "Traceback" not in result.output
    assert sorted(tmp_path.rglob("*")) == before
