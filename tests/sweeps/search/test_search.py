"""Real searches: killed at any point, side by side, from what was there before, and ending runs early."""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from qae.errors import ConfigError
from qae.files import search_record
from qae.files.search_record import TrialNote
from qae.run_directory import RunStatus
from sweeps.run_store.store import RunStore
from tests.sweeps.search.searching import SERVER, load, run_search, search_here

SPACE = "algorithm.quantile_k=interval(0.1,0.9)"
RANDOM = ("search.sampler=random", "search.n_jobs=3", "seed=0,1", SPACE)
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def runs(tmp_path: Path, new_store: Callable[[Path], Path]) -> Path:
    return new_store(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], Path]) -> Path:
    """A store with a search of six settings that nobody disturbed."""
    root = new_store(tmp_path_factory.mktemp("whole"))
    outcome, output = run_search(root, *RANDOM, "search.n_trials=6", "sweep.name=s")
    assert outcome.exit_code == 0, output
    return root


def told(root: Path, name: str) -> Counter[int]:
    """How often each trial was ended, by the journal's own lines."""
    lines = [json.loads(line) for line in search_record.journal(root, name).read_text().splitlines()]
    ends = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    return Counter(line["trial_id"] for line in lines if line["op_code"] == 6 and line["state"] in ends)


def test_a_search_judges_settings_by_the_mean_over_seeds(whole: Path) -> None:
    trials = load(whole, "s").trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    store = RunStore(whole)
    for trial in trials:
        states = [store.directory(run).read_state() for run in trial.user_attrs[TrialNote.RUNS].values()]
        assert [state.status for state in states] == [RunStatus.DONE] * 2
        assert trial.value == pytest.approx(sum(state.latest["val/overall/pass@1"] for state in states) / 2)
    assert len({trial.params["algorithm.quantile_k"] for trial in trials}) == 6
    assert len(store.manifest("s").runs) == 12


def test_killed_ten_times_at_any_point_it_loses_no_trial(runs: Path, whole: Path) -> None:
    arguments = (*RANDOM, "search.n_trials=6", "sweep.name=s")
    chance = random.Random(5)
    for kill in range(10):
        process = SERVER.Process(target=search_here, args=(runs, *arguments))
        wanted = lines(runs, "s") + chance.randint(1, 7)
        process.start()
        while process.is_alive() and lines(runs, "s") < wanted:
            time.sleep(0.002)
        time.sleep(0.05 * chance.random())
        process.kill()
        process.join()
        for directory in RunStore(runs).runs() if kill % 2 else ():  # and its workers, or they go on without it
            state = directory.read_state()
            if state.status is RunStatus.RUNNING and state.pid is not None:
                _kill(state.pid)
    outcome, output = run_search(runs, *arguments)
    assert outcome.exit_code == 0, output
    found, expected = load(runs, "s").trials, load(whole, "s").trials
    assert [(t.number, t.state, t.params, t.values) for t in found] == [
        (t.number, t.state, t.params, t.values) for t in expected
    ]
    assert set(told(runs, "s").values()) == {1}
    assert len(RunStore(runs).runs()) == 12


def lines(root: Path, name: str) -> int:
    """Lines of a search's journal so far."""
    path = search_record.journal(root, name)
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_two_processes_share_a_study(runs: Path) -> None:
    arguments = (*RANDOM, "search.n_trials=5", "sweep.name=s", "search.n_jobs=2")
    both = [SERVER.Process(target=search_here, args=(runs, *arguments)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    trials = load(runs, "s").trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 5
    assert len({trial.user_attrs[TrialNote.OWNER] for trial in trials}) == 2
    assert set(told(runs, "s").values()) == {1}
    assert {directory.read_state().attempt for directory in RunStore(runs).runs()} == {1}


@pytest.fixture
def newer(whole: Path) -> Iterator[None]:
    """A run of a later toolkit among the others."""
    run = RunStore(whole).directory("0123456789ab")
    shutil.copytree(RunStore(whole).runs()[0].path, run.path)
    run.layout.write_text('{"version": 99}')
    yield
    shutil.rmtree(run.path)


@pytest.mark.usefixtures("newer")
def test_runs_that_are_there_and_can_be_read_start_a_study(whole: Path) -> None:
    before = len(RunStore(whole).runs())
    more = ("seed=0,1", SPACE, "sweep.name=warm", "sweep.warm_start=true", "search.n_trials=1")
    outcome, output = run_search(whole, *more)
    assert outcome.exit_code == 0, output
    assert "Warm start: 6 settings of the store added as trials." in output
    trials = load(whole, "warm").trials
    assert [trial.user_attrs.get(TrialNote.WARM, False) for trial in trials] == [True] * 6 + [False]
    expected = {t.params["algorithm.quantile_k"]: t.value for t in load(whole, "s").trials}
    assert {t.params["algorithm.quantile_k"]: t.value for t in trials[:6]} == expected
    assert len(RunStore(whole).runs()) == before + 2
    _, output = run_search(whole, *more)
    assert "Warm start: 0 settings" in output
    assert len(load(whole, "warm").trials) == 7


def test_another_search_of_the_same_name_is_refused(whole: Path) -> None:
    with pytest.raises(ConfigError, match="the search of that name differs in seeds; give this one another"):
        search_here(whole, SPACE, "sweep.name=s", "seed=0,1,2")


LEARNING_RATES = "actor_rollout_ref.actor.optim.lr=choice(0.001,3.0)"
BAD_LAST = ("search.sampler=grid", "search.sampler_seed=1", "search.n_jobs=1", LEARNING_RATES)


def test_a_collapsed_policy_counts_as_pruned(runs: Path) -> None:
    outcome, output = run_search(
        runs, *BAD_LAST, "trainer.total_training_steps=12", "search.n_trials=2", "sweep.name=p"
    )
    assert outcome.exit_code == 0, output
    good, bad = load(runs, "p").trials
    assert (good.state, bad.state) == (TrialState.COMPLETE, TrialState.PRUNED), output
    assert "nothing to learn from" in bad.user_attrs[TrialNote.ENDING]["reason"]


def test_a_setting_that_lags_behind_is_pruned_with_its_checkpoint(runs: Path) -> None:
    arguments = (
        "search.sampler=grid",
        "search.sampler_seed=1",
        "search.n_jobs=1",
        "search.n_trials=2",
        "search.pruner=median",
        "search.pruner_trials=1",
        "search.pruner_warmup=4",
        "data.reward_noise.flip=0.0,0.5",
        "trainer.total_training_steps=60",
        "trainer.test_freq=2",
        "trainer.save_freq=1000",
        "sweep.name=p",
    )
    outcome, output = run_search(runs, *arguments)
    assert outcome.exit_code == 0, output
    first, second = load(runs, "p").trials
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.PRUNED), output
    (run_id,) = second.user_attrs[TrialNote.RUNS].values()
    run = RunStore(runs).directory(run_id)
    state = run.read_state()
    assert state.status is RunStatus.CANCELLED
    assert 4 <= state.step < 60
    assert state.reason is not None
    assert state.reason.startswith("search p, trial 1: pruned after step")
    assert [path.name for path in run.checkpoints.iterdir()] == [f"step-{state.step:06d}.pt"]


def test_a_budget_of_training_steps_is_kept(runs: Path) -> None:
    outcome, output = run_search(runs, *RANDOM, "search.max_steps=9", "sweep.name=b")
    assert outcome.exit_code == 0, output
    assert [trial.state for trial in load(runs, "b").trials] == [TrialState.COMPLETE] * 2
    assert sum(directory.read_state().step for directory in RunStore(runs).runs()) == 8


def test_objectives_constraints_and_groups(runs: Path) -> None:
    overrides = (
        "regularizer=clip_higher,clip_off",
        "algorithm.quantile_k=-1,0.4",
        "search.objectives=[pass_at_1,negative_peak_entropy]",
        "search.constraints={peak_entropy: [null, 0.0]}",
        "search.n_trials=4",
        "search.startup_trials=2",
        "sweep.name=front",
    )
    outcome, output = run_search(runs, *overrides)
    assert outcome.exit_code == 0, output
    trials = load(runs, "front").trials
    assert all(len(trial.values) == 2 for trial in trials)
    assert all(trial.user_attrs[TrialNote.CONSTRAINTS][0] == pytest.approx(-trial.values[1]) for trial in trials)
    assert set(trials[0].params) == {"regularizer", "algorithm.quantile_k"}


@pytest.mark.parametrize("sampler", ["gp", "cmaes", "nsgaii", "qmc", "tpe"])
def test_every_sampler_asks(runs: Path, sampler: str) -> None:
    arguments = (f"search.sampler={sampler}", "search.startup_trials=2", "search.n_trials=4", "sweep.name=a")
    space = (SPACE, "actor_rollout_ref.actor.optim.lr=tag(log,interval(1e-5,1e-3))")
    outcome, output = run_search(runs, *arguments, *space, "trainer.total_training_steps=1")
    assert outcome.exit_code == 0, output
    settings = [tuple(trial.params.values()) for trial in load(runs, "a").trials]
    assert len(set(settings)) >= 3
