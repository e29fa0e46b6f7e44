"""The guard beside real short runs: what each action does, and that nothing is decided twice."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qae.errors import ConfigError
from qae.files import layout
from qae.guard import decisions, judge
from qae.guard.decisions import Decision
from qae.guard.history import read_history
from qae.guard.settings import watches
from qae.run_directory import RunDirectory, RunStatus, read_metrics
from sweeps.launching import jobs
from sweeps.launching.plan import Action, Job, Plan, make_plan
from sweeps.launching.watch import Watch, forks_of
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import ManifestRun, RunStore
from sweeps.worker import forks, guard, run_checks
from sweeps.worker.attempt import run_job
from sweeps.worker.tracking import NoTracker
from tests import ROOT
from tests.support.configs import QUICK, embedded_mapping, verl_mapping

pytestmark = pytest.mark.slow

WORKER = "import sys; from sweeps.worker.job import run_in_worker; run_in_worker(sys.argv[1], 's', 0)"
# Fires at step 3 of any run: entropy is above nothing.
AT_STEP_3 = (
    "guard.explosion.steps=3",
    "guard.explosion.start_steps=1",
    "guard.explosion.ratio=1e-9",
)
# Fires at step 4 of any run, with step 4 as its evidence.
AT_STEP_4 = (
    "guard.explosion.steps=1",
    "guard.explosion.start_steps=4",
    "guard.explosion.ratio=1e-9",
    "guard.explosion.fork_k=0.6",
)


@pytest.fixture
def store(tmp_path: Path, new_store: Callable[[Path], Path]) -> RunStore:
    return RunStore(new_store(tmp_path))


def mapping(*overrides: str) -> dict[str, object]:
    return embedded_mapping(*QUICK, "tracking.backend=none", *overrides)


def planned(store: RunStore, config: dict[str, object]) -> RunDirectory:
    return store.create(run_id(config), config)


def plan(store: RunStore, config: dict[str, object], *, retry: bool = False) -> Plan:
    return make_plan([Job((), config)], store, name="s", retry=retry)


def only_decision(directory: RunDirectory) -> Decision:
    (decision,) = decisions.read(directory).values()
    return decision


def test_a_warning_is_shown_and_written_down_and_a_replay_says_the_same(store: RunStore) -> None:
    config = mapping(*AT_STEP_3, "guard.explosion.action=warn")
    directory = planned(store, config)
    assert run_job(directory, "s", []) is RunStatus.DONE
    decision, state = only_decision(directory), directory.read_state()
    assert (decision.step, decision.first_step, decision.action) == (3, 1, "warn")
    assert state.step == 6
    assert state.reason == str(decision)
    assert state.reason is not None
    assert state.reason.startswith("guard: explosion at step 3: entropy ")
    (verdict,) = judge.replay(watches(config["guard"]), read_history(directory), 6)
    assert (verdict.finding.step, verdict.finding.evidence) == (decision.step, decision.evidence)


def test_a_stop_is_final_until_it_is_overruled(store: RunStore) -> None:
    config = mapping(*AT_STEP_3, "guard.explosion.action=stop", "trainer.save_freq=5")
    directory = planned(store, config)
    assert run_job(directory, "s", []) is RunStatus.STOPPED_BY_GUARD
    state = directory.read_state()
    assert (state.status, state.step, state.attempt, state.exit_reason) == (RunStatus.STOPPED_BY_GUARD, 3, 1, None)
    assert state.reason == str(only_decision(directory))
    assert [path.name for path in directory.checkpoints.glob("*.pt")] == ["step-000003.pt"]
    assert read_metrics(directory).records[-1]["step"] == 3
    assert [run.action for run in plan(store, config).runs] == [Action.SKIP_STOPPED]
    # Killed between the decision and the end: it ends without another step or decision.
    directory.write_state(replace(state, status=RunStatus.RUNNING))
    written = directory.guard.read_bytes()
    assert run_job(directory, "s", []) is RunStatus.STOPPED_BY_GUARD
    assert directory.guard.read_bytes() == written
    assert directory.read_state().step == 3
    assert [run.action for run in plan(store, config, retry=True).runs] == [Action.RETRY]
    guard.overrule(directory)
    assert run_job(directory, "s", []) is RunStatus.DONE
    assert only_decision(directory).overruled
    assert directory.read_state().reason is None


def test_a_kill_after_a_decision_leaves_one_decision(store: RunStore) -> None:
    config = mapping(*AT_STEP_3, "guard.explosion.action=warn", "trainer.total_training_steps=100")
    directory = planned(store, config)
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(directory.path)], cwd=ROOT)
    while not directory.guard.exists() or directory.read_state().step < 5:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = only_decision(directory)
    assert run_job(directory, "s", []) is RunStatus.DONE
    assert directory.read_state().attempt == 2
    assert len(directory.guard.read_bytes().splitlines()) == 1
    assert only_decision(directory) == before


def test_a_tag_reaches_the_real_client(store: RunStore) -> None:
    config = embedded_mapping(
        *QUICK, *AT_STEP_3, "guard.explosion.action=tag", "tracking.mode=offline", "trainer.total_training_steps=4"
    )
    directory = planned(store, config)
    subprocess.run([sys.executable, "-c", WORKER, str(directory.path)], cwd=ROOT, check=True, timeout=600)
    (path,) = (directory.path / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    tags = [line["run"]["tags"] for line in lines if line.get("type") == "run"]
    assert "guard-explosion" not in tags[0]
    assert {"guard-explosion", "clip_higher"} <= set(tags[-1])


def test_a_fork_goes_on_from_before_the_evidence_in_the_same_process(store: RunStore) -> None:
    config = mapping(*AT_STEP_4, "guard.explosion.action=fork", "algorithm.quantile_k=0.8")
    directory = planned(store, config)
    store.record_sweep("s", ["sweep.py"], [ManifestRun(directory.run_id, ("algorithm.quantile_k=0.8", "seed=0"))])
    subprocess.run([sys.executable, "-c", WORKER, str(directory.path)], cwd=ROOT, check=True, timeout=600)
    decision, parent = only_decision(directory), directory.read_state()
    assert (parent.status, parent.step) == (RunStatus.STOPPED_BY_GUARD, 4)
    assert decision.fork is not None
    assert decision.fork_step == 2
    assert f"run {decision.fork} goes on from step 2 with K = 0.6" in str(parent.reason)
    fork = store.directory(decision.fork)
    assert (fork.read_state().status, fork.read_state().step, fork.read_state().attempt) == (RunStatus.DONE, 6, 1)
    assert layout.read(fork.path) == layout.CURRENT
    lines, parents = read_metrics(fork).records, read_metrics(directory).records
    assert [line["step"] for line in lines] == list(range(7))
    assert lines[:3] == parents[:3]
    assert lines[3]["actor/entropy"] == parents[3]["actor/entropy"]  # the same policy samples step 3
    assert lines[4]["actor/entropy"] != parents[4]["actor/entropy"]  # and learns from it with another K
    assert [run.id for run in store.manifest("s").runs] == [directory.run_id, fork.run_id]
    # A launch finds both, and a fork that was interrupted goes on as any run does.
    assert [run.action for run in plan(store, config).runs] == [Action.SKIP_STOPPED, Action.SKIP_DONE]
    fork.write_state(replace(fork.read_state(), status=RunStatus.PREEMPTED))
    for retry in (False, True):
        parent_run, forked = plan(store, config, retry=retry).runs
        assert (parent_run.action, forked.action) == (Action.SKIP_STOPPED, Action.RESUME)
        assert run_id(forked.config) == forked.run_id == fork.run_id
    watch = Watch()
    (shown,) = forks_of([parent_run], watch)
    assert (shown.run_id, shown.label) == (fork.run_id, f"K=0.6, fork of {directory.run_id}")
    assert forks_of([parent_run, forked], watch) == []
    run_checks.check(forked.config)


def test_a_run_without_a_checkpoint_from_before_is_stopped_and_says_so(store: RunStore) -> None:
    config = mapping("algorithm.quantile_k=0.8")
    directory = planned(store, config)
    with pytest.raises(forks.NoForkError, match="no checkpoint from before step 3"):
        forks.make(config, directory, 3, 0.4)
    (directory.checkpoints).mkdir()
    (directory.checkpoints / "step-000002.pt").write_bytes(b"weights")
    with pytest.raises(forks.NoForkError, match=r"its K is 0.8 already"):
        forks.make(config, directory, 3, 0.8)
    fork = forks.make(config, directory, 3, 0.4)
    assert forks.make(config, directory, 3, 0.4) == fork
    forked = store.directory(fork.run_id)
    assert (forked.checkpoints / "step-000002.pt").read_bytes() == b"weights"
    assert forked.read_state().step == 2
    with pytest.raises(forks.NoForkError, match="it is a fork itself"):
        forks.make(forks.config_of(config, directory.run_id, 2, 0.4), forked, 3, 0.6)
    assert [path.name for path in store.root.glob(".*")] == []


def test_a_decision_after_which_the_run_ended_by_itself_is_taken_back_with_its_fork(store: RunStore) -> None:
    config = mapping(*AT_STEP_4, "guard.explosion.action=fork", "algorithm.quantile_k=0.8")
    directory = planned(store, config)
    directory.checkpoints.mkdir()
    (directory.checkpoints / "step-000002.pt").write_bytes(b"weights")
    watching = guard.Guard(config, directory, 6, NoTracker())
    for step in range(1, 5):
        watching.step(step, {"actor/entropy": 1.0})
    assert not only_decision(directory).overruled
    fork = forks.last_of(directory)
    assert fork.config.exists()
    watching.come_too_late()
    assert watching.ending is None
    assert watching.reason is None
    assert only_decision(directory).overruled
    assert not fork.path.exists()
    # What a fork of the same id has computed before is not thrown away.
    forks.make(config, directory, 4, 0.6)
    fork.write_state(replace(fork.read_state(), attempt=1))
    decisions.append(directory, replace(only_decision(directory), overruled=False))
    guard.Guard(config, directory, 6, NoTracker()).come_too_late()
    assert only_decision(directory).overruled
    assert fork.config.exists()


def test_a_fork_of_a_run_of_verl_has_the_whole_checkpoint(store: RunStore) -> None:
    config = verl_mapping("algorithm.quantile_k=0.4")
    directory = RunDirectory(store.root / run_id(config))
    for step in (5, 10, 15):
        actor = directory.checkpoints / f"global_step_{step}" / "actor"
        actor.mkdir(parents=True)
        (actor / "model.pt").write_bytes(b"%d" % step)
    for step in (5, 10):  # the third one is not complete
        with zipfile.ZipFile(directory.checkpoints / f"global_step_{step}" / "data.pt", "w") as file:
            file.writestr("a", "b")
    fork = forks.make(config, directory, 17, 0.6)
    assert fork.step == 10
    copied = store.directory(fork.run_id).checkpoints / "global_step_10"
    assert (copied / "actor" / "model.pt").read_bytes() == b"10"
    assert (copied / "data.pt").stat().st_nlink == 2


def test_guard_settings_are_checked_with_the_plan() -> None:
    with pytest.raises(ConfigError, match=r"guard.dead_learning.steps=0 cannot be used: give a whole number"):
        run_checks.check(mapping("guard.dead_learning.action=stop", "guard.dead_learning.steps=0"))
    with pytest.raises(ConfigError, match=r"guard.explosion.action='fork' cannot be used: a fork changes K"):
        run_checks.check(mapping(*AT_STEP_4, "guard.explosion.action=fork", "algorithm.advantage=median"))


@pytest.mark.parametrize(
    ("rule", "overrides"),
    [
        # Without dynamic sampling a run goes on once every prompt is solved.
        (
            "dead_learning",
            ("algorithm.filter_groups.enable=false", "tabular.facts=8", "tabular.evaluation_problems=16"),
        ),
        # Logits of this size leave the range of float32 in some steps.
        ("divergence", ("actor_rollout_ref.actor.optim.lr=8e36", "tabular.evaluation_problems=16")),
    ],
)
def test_the_safety_rules_stop_the_runs_that_they_are_for(
    store: RunStore, rule: str, overrides: tuple[str, ...]
) -> None:
    config = embedded_mapping(*overrides, "tracking.backend=none", groups=("guard=entropy",))
    config["guard"] = {**config["guard"], "explosion": None, "drift": None}  # type: ignore[dict-item]  # a section
    directory = planned(store, config)
    assert run_job(directory, "s", []) is RunStatus.STOPPED_BY_GUARD
    assert only_decision(directory).rule == rule
    assert directory.read_state().step < 60


def test_a_fork_cannot_be_typed() -> None:
    composed = [((), {**mapping(), "fork": {"run": "a"}})]
    with pytest.raises(ConfigError, match=r"fork=\{'run': 'a'\} cannot be used: leave it out; the guard writes it"):
        jobs.typed(composed)


def test_the_guard_changes_no_run_id_and_a_fork_does() -> None:
    config = mapping("algorithm.quantile_k=0.8")
    assert run_id(mapping("algorithm.quantile_k=0.8", *AT_STEP_3)) == run_id(config)
    plain = run_id(mapping("algorithm.quantile_k=0.4"))
    ids = {run_id(forks.config_of(config, parent, step, 0.4)) for parent, step in (("a", 2), ("a", 4), ("b", 2))}
    assert len(ids | {plain}) == 4
