"""Which runs a command is about: by sweep, by run id, by what they were given."""

from pathlib import Path

import pytest

from qae.run_directory import RunState, RunStatus
from sweeps.run_store.identity import run_id
from sweeps.run_store.selection import SelectionError, select
from sweeps.run_store.store import ManifestRun, RunStore
from tests.support.configs import embedded_mapping

OVERRIDES = (
    ("algorithm.quantile_k=0.2",),
    ("algorithm.quantile_k=0.40", "seed=1"),
    ("regularizer=clip_symmetric",),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Two sweeps: all three runs, and the second of them again."""
    store = RunStore(tmp_path_factory.mktemp("runs"))
    runs = []
    for overrides in OVERRIDES:
        values = [text for text in overrides if "." in text or "seed" in text]
        config = embedded_mapping(*values)
        config |= {"labels": {"model": "tiny", "regularizer": "clip_symmetric" if not values else "clip_higher"}}
        config |= {"seed": 7} if not values else {}
        runs.append(ManifestRun(run_id(config), overrides))
        store.create(runs[-1].id, config)
    store.record_sweep("all", [], runs)
    store.record_sweep("second", [], runs[1:2])
    return store


@pytest.fixture(scope="module")
def ids(store: RunStore) -> list[str]:
    return [run.id for run in store.manifest("all").runs]


def names(store: RunStore, targets: tuple[str, ...] = (), where: tuple[str, ...] = ()) -> list[str]:
    return [run.run_id for run in select(store, targets, where)]


@pytest.mark.slow
def test_sweeps_ids_and_their_beginnings_name_runs_each_once(store: RunStore, ids: list[str]) -> None:
    assert names(store) == sorted(ids)
    assert names(store, ("all",)) == ids
    assert names(store, ("second", "all")) == [ids[1], ids[0], ids[2]]
    assert names(store, (ids[2][:6], "second", ids[2])) == [ids[2], ids[1]]


@pytest.mark.slow
def test_a_run_is_told_in_the_words_of_the_sweep_that_had_it_last(store: RunStore, ids: list[str]) -> None:
    runs = {run.run_id: run for run in select(store)}
    assert [runs[name].sweep for name in ids] == ["all", "second", "all"]
    assert runs[ids[0]].label == "quantile_k=0.2"
    assert runs[ids[2]].state.status is RunStatus.PLANNED


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (("algorithm.quantile_k>0.3",), [1]),
        (("quantile_k=0.4",), [1]),  # numbers are numbers, whatever their digits
        (("quantile_k = -1",), [2]),  # from the configuration: no override says so
        (("algorithm.quantile_k!=0.4",), [0, 2]),
        (("quantile_k>=0.2", "seed<1"), [0]),
        (("regularizer=clip_symmetric",), [2]),
        (("regularizer=clip_higher",), [0, 1]),  # what nobody chose is a label
        (("seed>7",), []),
        (("tracking.mode==auto",), [0, 1, 2]),
        (("regularizer>1",), []),
    ],
)
def test_conditions_choose_runs_by_what_they_were_given(
    store: RunStore, ids: list[str], where: tuple[str, ...], expected: list[int]
) -> None:
    assert names(store, ("all",), where) == [ids[number] for number in expected]


@pytest.mark.parametrize(
    ("targets", "where", "says"),
    [
        (("secnod",), (), "no sweep and no run 'secnod' in .*; did you mean second?"),
        (("x",), (), "there are the sweeps second, all"),
        ((), ("quantile_k",), "'quantile_k' is no condition; write KEY=VALUE or KEY>VALUE"),
        ((), ("quantile_k=",), "is no condition"),
        ((), ("quantile_k=>0.4",), "is no condition"),
        ((), ("quantile_k>many",), "'quantile_k>many' cannot be used: > compares numbers"),
        ((), ("algorithm.quantil_k=1",), "no run has 'algorithm.quantil_k'; did you mean algorithm.quantile_k?"),
        ((), ("quantil_k>1",), "no run has 'quantil_k'; did you mean algorithm.quantile_k?"),
        ((), ("n=8",), "'n' is the end of several keys, .*rollout.n, .*; give the whole one"),
    ],
)
def test_a_mistake_is_a_sentence(store: RunStore, targets: tuple[str, ...], where: tuple[str, ...], says: str) -> None:
    with pytest.raises(SelectionError, match=says) as caught:
        select(store, targets, where)
    assert "\n" not in str(caught.value)


def test_a_beginning_of_several_ids_is_a_mistake(tmp_path: Path) -> None:
    for name in ("abc000000000", "abc111111111"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(SelectionError, match="'abc' is the beginning of 2 run ids, such as abc000000000"):
        select(RunStore(tmp_path), ("abc",))


def test_what_is_damaged_is_shown_and_hides_nothing_else(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.record_sweep("good", [], [ManifestRun("0" * 12, ("seed=0",)), ManifestRun("1" * 12, ("seed=1",))])
    (tmp_path / "sweeps" / "bad.json").write_text("{")
    for name in ("0" * 12, "1" * 12):
        store.directory(name).path.mkdir()
        store.directory(name).config.write_text("seed: 0\n")
    store.directory("0" * 12).state.write_text("no state")
    store.directory("1" * 12).write_state(RunState(RunStatus.DONE))
    damaged, fine = select(store)
    assert (damaged.state.status, fine.state.status) == (RunStatus.FAILED, RunStatus.DONE)
    assert "is not a run state" in str(damaged.state.reason)
    with pytest.raises(SelectionError, match=r"bad\.json is not a sweep's manifest"):
        select(store, ("bad",))
