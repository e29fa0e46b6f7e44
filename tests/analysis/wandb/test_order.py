"""Which attempt of a W&B run came later: its records say it, whatever its folders are called."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import sources
from analysis.runs.flaw import Kind
from analysis.runs.frames import Runs
from analysis.sources.folders import files_below
from analysis.sources.tidy import concatenated, continued, from_rows, metric_frame
from analysis.sources.wandb.offline import runs_of
from analysis.sources.wandb.records import Description
from analysis.sources.wandb.segment import Segment
from qae import metrics

_ATTEMPT = """
import sys, wandb
folder, first, last, value = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
run = wandb.init(project="p", id="c0", dir=folder, settings=wandb.Settings(console="off", silent=True))
for step in range(first, last):
    run.log({"actor/entropy": value, "training/global_step": step}, step=step)
run.finish()
"""


def segment(
    steps: Sequence[int], value: float, started: float | None, *, folder: str = "offline-run", **about: object
) -> Segment:
    """An attempt that logged one value at some steps."""
    frame = metric_frame(
        np.array(steps, np.int64), np.zeros(len(steps), np.int64), [metrics.ENTROPY.name], np.full(len(steps), value)
    )
    description = Description(run_id="r", project="p", exit_code=0, started=started)
    return Segment(Path(folder) / "run-r.wandb", replace(description, **about), frame, ())  # type: ignore[arg-type]


def entropies(runs: Runs, run: str = "r") -> dict[int, float]:
    rows = runs.metrics[runs.metrics["run"] == run]
    return dict(zip(rows["step"], rows["value"], strict=True))


@pytest.mark.slow
@given(st.permutations(range(4)), st.permutations(["offline-run-a", "run-b", "offline-run-20260101_000000-r", "z"]))
def test_any_names_in_any_order_give_the_same_numbers(order: list[int], folders: list[str]) -> None:
    spans = [range(1, 11), range(6, 16), range(3, 9), range(9, 31)]
    parts = [
        segment(span, float(index), 1000.0 * (index + 1), folder=folder)
        for index, (span, folder) in enumerate(zip(spans, folders, strict=True))
    ]
    runs = runs_of(parts[index] for index in order)
    wanted = {step: float(index) for index, span in enumerate(spans) for step in span}
    assert entropies(runs) == wanted
    assert {flaw.kind for flaw in runs.flaws} == {Kind.SUPERSEDED}


@pytest.mark.parametrize(
    ("first", "second"),
    [(2000.0, 1000.0), (1000.0, 1000.0), (None, 1000.0), (1000.0, None), (None, None)],
    ids=["backwards", "equal", "the first has none", "the second has none", "neither has one"],
)
def test_where_times_say_nothing_steps_do_and_it_is_said(first: float | None, second: float | None) -> None:
    earlier, later = segment(range(1, 11), 1.0, first), segment(range(6, 16), 2.0, second)
    for parts in ((earlier, later), (later, earlier)):
        runs = runs_of(parts)
        assert entropies(runs) == {**dict.fromkeys(range(1, 6), 1.0), **dict.fromkeys(range(6, 16), 2.0)}
        assert Kind.ORDER in {flaw.kind for flaw in runs.flaws}


def test_what_cannot_be_decided_is_named() -> None:
    runs = runs_of([segment(range(1, 11), 1.0, None), segment(range(1, 9), 2.0, None)])
    assert any(flaw.kind is Kind.ORDER and "cannot be decided" in flaw.text for flaw in runs.flaws)


def test_attempts_that_overlap_in_time_are_named() -> None:
    earlier = segment(range(1, 11), 1.0, 1000.0, last_logged=5000.0)
    runs = runs_of([earlier, segment(range(6, 16), 2.0, 2000.0)])
    assert any(flaw.kind is Kind.ORDER for flaw in runs.flaws)


def test_different_runs_with_one_id_are_not_merged() -> None:
    k4 = {"algorithm": {"quantile_k": 0.4}}
    first = segment(range(1, 11), 1.0, 1000.0)
    other = segment(range(1, 11), 2.0, 2000.0, config=k4)
    runs = runs_of([replace(first, description=replace(first.description, config={"seed": 1})), other])
    assert len(runs.records) == 2
    assert {str(arm) for arm in runs.arms} == {"mean", "K = 0.4"}
    assert any("different runs" in flaw.text for flaw in runs.flaws)
    projects = runs_of([first, replace(other, description=replace(other.description, project="q", config={}))])
    assert {record.id for record in projects.records} == {"p/r", "q/r"}


@pytest.mark.slow
def test_a_continued_run_with_clocks_in_two_zones(tmp_path: Path) -> None:
    for zone, first, last, value in (("Asia/Tokyo", 1, 11, 1.0), ("UTC", 6, 16, 2.0)):
        variables = {**os.environ, "TZ": zone, "WANDB_MODE": "offline"}
        arguments = [str(tmp_path), str(first), str(last), str(value)]
        subprocess.run([sys.executable, "-c", _ATTEMPT, *arguments], env=variables, check=True)
    rows = sources.load(tmp_path).metrics
    rows = rows[rows["name"] == metrics.ENTROPY.name]
    found = dict(zip(rows["step"], rows["value"], strict=True))
    assert found == {**dict.fromkeys(range(1, 6), 1.0), **dict.fromkeys(range(6, 16), 2.0)}


def frame(first: int, last: int, value: float, *names: str) -> pd.DataFrame:
    steps = [step for step in range(first, last + 1) for _ in names]
    return from_rows(steps, list(names) * (last - first + 1), [value] * len(steps))


def values(parts: Sequence[pd.DataFrame], name: str) -> dict[int, float]:
    rows = continued(parts)[0]
    rows = rows[rows["name"] == name]
    return dict(zip(rows["step"].tolist(), rows["value"].tolist(), strict=True))


def test_what_an_ended_attempt_logged_beyond_the_next_one_does_not_stay() -> None:
    parts = [frame(1, 10, 1.0, "e"), frame(1, 10, 2.0, "e"), frame(1, 5, 3.0, "e")]
    assert values(parts, "e") == dict.fromkeys(range(1, 6), 3.0)
    assert continued(parts)[1] == [6, 7, 8, 9, 10]
    middle = [frame(1, 10, 1.0, "e"), frame(4, 7, 2.0, "e")]
    assert values(middle, "e") == {1: 1.0, 2: 1.0, 3: 1.0, **dict.fromkeys(range(4, 8), 2.0)}
    assert continued(middle)[1] == [8, 9, 10]


def test_an_evaluation_before_going_on_and_metrics_of_its_own_drop_nothing() -> None:
    trained = frame(1, 10, 1.0, "e", "loss", "length", "accuracy")
    evaluated_again = concatenated([frame(4, 4, 2.0, "accuracy"), frame(5, 8, 2.0, "e", "loss", "length", "accuracy")])
    assert values([trained, evaluated_again], "e")[4] == 1.0
    assert values([trained, evaluated_again], "accuracy")[4] == 2.0
    assert max(values([trained, evaluated_again], "e")) == 8
    alone = frame(2, 2, 5.0, "judge")
    assert values([trained, alone], "e") == dict.fromkeys(range(1, 11), 1.0)
    assert continued([trained, alone])[1] == []


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "dead").symlink_to(tmp_path / "gone")
    (tmp_path / "gone.wandb").symlink_to(tmp_path / "nowhere")
    (tmp_path / "debug.log").symlink_to(tmp_path / "nowhere")
    found = files_below(tmp_path, ".wandb")
    assert found.paths == ()
    assert sorted(note.split()[0].rsplit("/", 1)[1] for note in found.notes) == ["dead", "gone.wandb"]
