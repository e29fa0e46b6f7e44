"""Runs of several sources are named and counted as one."""

from pathlib import Path

from analysis.sources import run_store
from analysis.sources.joining import join
from qae import metrics
from tests.analysis.stores import write_run


def test_arms_are_named_by_what_differs_over_all_and_a_run_counts_once(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    write_run(near, "mean-0", {"seed": 0}, steps=3, evaluate=(0, 3))
    write_run(near, "mean-1", {"seed": 1})
    write_run(far, "mean-0", {"seed": 0})
    write_run(far, "low", {"seed": 0, "actor_rollout_ref.actor.optim.lr": 1e-5})
    for parts in ((near, far), (far, near)):
        runs = join([run_store.load(root) for root in parts])
        assert {str(arm): [record.id for record in of] for arm, of in runs.arms.items()} == {
            "mean, lr=0.1": ["mean-0", "mean-1"],
            "mean, lr=1e-05": ["low"],
        }
        mean = next(arm for arm in runs.arms if arm.variant == "lr=0.1")
        assert runs.series(mean, metrics.ENTROPY.name)["mean-0"].count() == 6
        assert sorted(runs.counts(mean).groupby("run")["step"].max()) == [6, 6]


def test_one_source_stays_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path, "mean-0", {"seed": 0})
    runs = run_store.load(tmp_path)
    assert join([runs]) is runs
