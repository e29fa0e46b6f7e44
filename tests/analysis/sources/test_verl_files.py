"""Runs of verl that were not started by us: its own logger writes the file, its own function the dumps."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from verl.trainer.ppo.ray_trainer import RayPPOTrainer
from verl.utils.tracking import FileLogger

from analysis import sources, statistics
from qae import metrics

pytestmark = pytest.mark.slow
SAMPLES = 16


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three steps with a validation at 2."""
    monkeypatch.setenv("VERL_FILE_LOGGER_ROOT", str(tmp_path))
    monkeypatch.delenv("VERL_FILE_LOGGER_PATH", raising=False)
    logger = FileLogger("project", "grpo")
    for step in (1, 2, 3):
        validation = {"val-core/aime/acc/mean@16": 0.25, "val-core/aime/acc/best@16/mean": 0.7} if step == 2 else {}
        logger.log({"training/global_step": step, "actor/entropy": 1 / step, "note": "text", **validation}, step)
    logger.finish()
    return tmp_path / "project" / "grpo.jsonl"


def dump(folder: Path, step: int, **columns: Sequence[object]) -> None:
    """Two problems of sixteen samples."""
    count = 2 * SAMPLES
    prompts = ["1 + 1 = ?"] * SAMPLES + ["2 + 2 = ?"] * SAMPLES
    answers = ["2"] * SAMPLES + ["4"] * SAMPLES
    scores = columns.pop("score", [1.0] * 4 + [-1.0] * 12 + [1.0] * 8 + [-1.0] * 8)
    RayPPOTrainer._write_generations(prompts, ["…"] * count, answers, scores, columns, str(folder), step)


def test_the_loggers_file_is_read_under_our_names(log: Path) -> None:
    runs = sources.load(log)
    (record,) = runs.records
    assert (record.id, record.step) == ("grpo", 3)
    arm = record.arm
    assert runs.series(arm, metrics.ENTROPY.name)["grpo"].to_dict() == {1: 1.0, 2: 0.5, 3: 1 / 3}
    for name in (metrics.pass_at(1, "aime").name, metrics.pass_at(1).name):
        assert runs.series(arm, name)["grpo"].to_dict() == {2: 0.25}
    # Sixteen of sixteen drawn with replacement is no pass@16.
    assert not runs.has(metrics.pass_at(16, "aime").name)
    assert runs.has("val-core/aime/acc/best@16/mean")


def test_a_configuration_beside_the_file_names_the_arm(log: Path) -> None:
    log.with_suffix(".yaml").write_text("algorithm: {quantile_k: 0.4}\nseed: 3\n")
    (record,) = sources.load(log.parent).records
    assert (str(record.arm), record.seed) == ("K = 0.4", 3)


@pytest.mark.parametrize("form", ["acc", "score"])
def test_counts_come_from_the_dumps(log: Path, form: str) -> None:
    folder = log.with_suffix("")
    dump(folder, 0, score=[-1.0] * 2 * SAMPLES)
    right = [True] * 4 + [False] * 12 + [True] * 8 + [False] * 8
    if form == "acc":
        dump(folder, 2, acc=right, score=[0.5] * 2 * SAMPLES)
    else:
        dump(folder, 2)
    runs = sources.load(log)
    counts = runs.evaluations
    assert counts[counts["step"] == 2].sort_values("c")[["n", "c"]].to_numpy().tolist() == [[16, 4], [16, 8]]
    first, last = (set(counts[counts["step"] == step]["problem"]) for step in (0, 2))
    assert first == last
    estimate = statistics.pass_at_k_estimate(runs.counts(runs.records[0].arm), 2, 1)
    assert estimate is not None
    assert estimate.value == pytest.approx(12 / 32)
    assert runs.series(runs.records[0].arm, metrics.pass_at(1).name)["grpo"].to_dict() == {0: 0.0, 2: 12 / 32}
    assert runs.series(runs.records[0].arm, metrics.pass_at(16).name)["grpo"].to_dict() == {0: 0.0, 2: 1.0}


def test_dumps_elsewhere_are_named_and_dumps_alone_are_a_run(log: Path, tmp_path: Path) -> None:
    dump(tmp_path / "elsewhere", 2)
    assert len(sources.load(log, validation=tmp_path / "elsewhere").evaluations) == 2
    alone = sources.load(tmp_path / "elsewhere")
    assert [record.id for record in alone.records] == ["elsewhere"]
    assert len(alone.evaluations) == 2


def test_damage_and_scores_that_say_nothing_are_reported(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b'{"step": 4, "data": {"actor/ent')
    dump(log.with_suffix(""), 2, score=[0.5] * 2 * SAMPLES)
    runs = sources.load(log)
    assert runs.records[0].step == 3
    assert any("1 line was unreadable" in note for note in runs.notes)
    assert any("do not tell what is right" in note for note in runs.notes)
    assert runs.evaluations.empty


def test_an_entropy_that_is_not_over_tokens_is_remarked(log: Path) -> None:
    log.with_suffix(".yaml").write_text(
        json.dumps({"actor_rollout_ref": {"actor": {"loss_agg_mode": "seq-mean-token-sum"}}})
    )
    assert any("averaged as its loss" in note for note in sources.load(log).notes)
