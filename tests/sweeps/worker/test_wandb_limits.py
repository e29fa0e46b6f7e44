"""What W&B takes, by the real client: hostile names never turn it off, and what it does not take is said."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
import wandb
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.sources.wandb import names as wandb_names
from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunState, RunStatus
from qae.tracking import wandb_limits
from sweeps.run_store.store import checked_name
from sweeps.worker import tracking
from tests.method.test_text import TEXTS
from tests.sweeps.worker.test_tracking import records

LABELS = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.lists(TEXTS, max_size=3))


def start(
    folder: Path, labels: Mapping[str, object], sweep: str, **more: object
) -> tuple[tracking.Tracker, RunDirectory]:
    run = RunDirectory(folder / "abcd")
    run.path.mkdir(parents=True)
    settings = {"backend": "wandb", "mode": "offline", "project": "my project", "entity": None}
    return tracking.start({"backend": "tiny", "labels": labels, "tracking": settings, **more}, run, sweep), run


@given(st.lists(LABELS, max_size=5))
def test_the_client_takes_any_labels_as_tags(labels: list[object]) -> None:
    tags = wandb_limits.tags(labels)
    assert wandb.Settings(run_tags=tags).run_tags == tags
    assert len(set(tags)) == len(tags)
    assert wandb_limits.tags(tags) == tags


@example("\U0001f469\u200d\U0001f467", "\U0001f469\U0001f467")
@given(TEXTS, TEXTS)
def test_names_fit_and_different_ones_stay_different(one: str, other: str) -> None:
    for fit, most in ((wandb_limits.group, 128), (wandb_limits.run_name, 128), (wandb_limits.job_type, 64)):
        assert len(fit(one)) <= most
        assert fit(fit(one)) == fit(one)
        if not {"⏎", "⇥"} & {*one, *other}:
            assert (fit(one) == fit(other)) is (one.strip() == other.strip())


@given(TEXTS)
def test_a_project_is_what_the_client_takes_or_one_sentence(project: str) -> None:
    try:
        name = wandb_limits.checked("tracking.project", project)
    except ConfigError:
        return
    if project == "":
        assert name is None
        return
    assert wandb.Settings(project=name).project == project
    assert wandb_names.parse(f"team/{project}").name == project


def test_a_project_may_be_a_number_or_have_blanks_and_not_what_urls_need() -> None:
    assert wandb_limits.checked("tracking.project", 2024) == "2024"
    assert wandb_limits.checked("tracking.project", "my project") == "my project"
    assert wandb_limits.checked("tracking.entity", None) is None
    for wrong in ("a/b", "a:b", " ", "x" * 129, True, ["a"], "a\nb"):
        with pytest.raises(ConfigError, match=r"tracking\.entity"):
            wandb_limits.checked("tracking.entity", wrong)
        with pytest.raises(ConfigError, match=r"tracking\.project"):
            tracking.check({"backend": "wandb", "mode": "auto", "project": wrong})


@pytest.mark.slow
def test_the_worst_labels_names_and_values_do_not_turn_it_off(tmp_path: Path) -> None:
    labels = {
        "a": "x" * 100,
        "b": "",
        "c": ["p,q", 3],
        "d": 7,
        "e": None,
        "f": "  ",
        "g": "[b]\n\x1b\ud800",
        "h": "日" * 70,
    }
    config = {"t": "\ud800", 3: {"a b": "\x00"}, "k" * 300: "{% x %}" * 5000}
    tracker, run = start(tmp_path, labels, "s" * 200, own=config)
    tracker.log(1, {"a": 1.0})
    tracker.tag(f"guard: {'y' * 100}")
    tracker.finish(failed=False)
    assert isinstance(tracker, tracking.WandbTracker)
    assert tracker.problem == ""
    written = [record["run"] for record in records(run) if record["type"] == "run"][-1]
    assert isinstance(written, dict)
    assert written["project"] == "my project"
    assert 0 < len(written["run_group"]) <= 128
    assert {"p,q", "3", "7"} <= set(written["tags"])
    assert len(written["tags"]) == 7
    assert all(0 < len(tag) <= 64 for tag in written["tags"])


def test_why_it_could_not_start_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = RunDirectory(tmp_path / "abcd")
    settings = {"backend": "wandb", "mode": "offline", "project": "a/b"}
    with caplog.at_level(logging.WARNING):
        tracker = tracking.start({"backend": "tiny", "labels": {}, "tracking": settings}, run, "s")
    assert "a/b" in tracker.problem
    run.path.mkdir()
    run.write_state(RunState(RunStatus.DONE, tracking=tracker.problem))
    assert run.read_state().tracking == tracker.problem


@given(TEXTS)
def test_a_sweep_is_called_as_its_files_can_be_or_one_sentence_says_no(name: str) -> None:
    try:
        assert checked_name(name) == name
    except ConfigError:
        return
    assert len(f"{name}.json".encode()) < 255
    assert name.isprintable()
