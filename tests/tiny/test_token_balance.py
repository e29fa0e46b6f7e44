"""Token means, lengths and clips by sign as a run of the embedded trainer logs them."""

from pathlib import Path

import pytest
import torch

from qae import metrics
from qae.embedded.batch import Batch
from qae.embedded.losses import DapoLoss
from qae.run_directory import RunDirectory, read_metrics
from qae.tiny.config import TinyConfig
from qae.tiny.rollout import Rollouts
from qae.tiny.train import train
from qae.tiny.transformer.model import Transformer
from tests.support.configs import TINY_QUICK, tiny_mapping

pytestmark = pytest.mark.slow

OWN = (metrics.ADVANTAGE_TOKEN_MEAN, metrics.LENGTH_RIGHT, metrics.LENGTH_WRONG)
BY_SIGN = (metrics.CLIP_FRACTION_POSITIVE, metrics.CLIP_FRACTION_NEGATIVE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str
) -> tuple[list[dict[str, float]], list[Batch]]:
    """Lines of the steps of a run, and the batches that it was trained on."""
    batches: list[Batch] = []

    class Recorded(Rollouts):
        def batch(self, model: Transformer, step: int) -> Batch:
            batches.append(super().batch(model, step))
            return batches[-1]

    monkeypatch.setattr("qae.tiny.policy.Rollouts", Recorded)
    config = TinyConfig.from_mapping(tiny_mapping(*TINY_QUICK, *overrides))
    train(config, RunDirectory(path), cache=cache, on_step=lambda *_: None, should_stop=lambda: False)
    lines = [line for line in read_metrics(RunDirectory(path)).records if line["step"] != 0]
    return [{name: float(str(value)) for name, value in line.items()} for line in lines], batches


@pytest.mark.parametrize("rule", ["quantile", "token_mean"])
def test_a_run_logs_what_its_batches_say(
    rule: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, batches = run(tmp_path / "r", cache, monkeypatch, f"algorithm.advantage={rule}")
    assert len(lines) == len(batches) == 6
    for line, batch in zip(lines, batches, strict=True):
        tokens, scores, groups = (
            values.tolist() for values in (batch.responses.mask_B_T.sum(1), batch.score_B, batch.group_B)
        )
        weighted = 0.0
        for group in set(groups):
            own = [row for row, label in enumerate(groups) if label == group]
            mean = sum(scores[row] for row in own) / len(own)
            deviation = (sum((scores[row] - mean) ** 2 for row in own) / (len(own) - 1)) ** 0.5
            b = sum(tokens[row] * scores[row] for row in own) / sum(tokens[row] for row in own)
            b = b if rule == "token_mean" else mean
            weighted += sum(tokens[row] * (scores[row] - b) / (deviation + 1e-6) for row in own)
        found = line[metrics.ADVANTAGE_TOKEN_MEAN.name]
        assert found == pytest.approx(weighted / sum(tokens), rel=1e-4, abs=1e-6)
        assert abs(found) < 1e-6 or rule == "quantile"
        for metric, wanted in ((metrics.LENGTH_RIGHT, 1.0), (metrics.LENGTH_WRONG, 0.0)):
            lengths = [length for length, score in zip(tokens, scores, strict=True) if score == wanted]
            assert line[metric.name] == pytest.approx(sum(lengths) / len(lengths))
        assert all(0 <= line[metric.name] <= 1 for metric in BY_SIGN)
    assert any(line[metric.name] > 0 for line in lines for metric in BY_SIGN)


def test_a_sign_without_a_token_is_absent(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, _ = run(tmp_path / "r", cache, monkeypatch, "algorithm.advantage=positive_only")
    for line in lines:
        assert metrics.CLIP_FRACTION_POSITIVE.name in line
        assert metrics.CLIP_FRACTION_NEGATIVE.name not in line
        assert all(metric.name in line for metric in OWN)
        assert line[metrics.ADVANTAGE_TOKEN_MEAN.name] > 0


def test_the_loss_counts_clips_of_each_sign_where_verl_counts_them() -> None:
    """Ratios of 1.5 and .5 under both signs: the clip binds above for positive, below for negative advantages."""
    old = torch.zeros(4, 3)
    ratio = torch.tensor([[1.5, 0.5, 1.0], [1.5, 1.5, 1.5], [1.5, 0.5, 0.5], [0.5, 1.5, 0.5]])
    advantage = torch.tensor([2.0, 1.0, -1.0, 0.0])[:, None].expand(-1, 3)
    mask = torch.tensor([[1.0, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    _, logged = DapoLoss(0.2, 0.28, 10.0)(old, ratio.log(), advantage, mask)
    assert logged[metrics.CLIP_FRACTION_POSITIVE.name] == pytest.approx(2 / 4)
    assert logged[metrics.CLIP_FRACTION_NEGATIVE.name] == pytest.approx(1 / 2)
    assert logged[metrics.CLIP_FRACTION.name] == pytest.approx(3 / 9)
    assert logged[metrics.CLIP_DRIFT.name] == pytest.approx(-(2.0 + 1.0 - 1.0) / 9)
