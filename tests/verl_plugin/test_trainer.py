"""The recording trainers on a real transfer queue, up to where workers on devices would begin."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import ray
import torch
import transfer_queue as tq
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from qae import metrics
from qae.run_directory import RunDirectory
from qae.verl_plugin import random_model
from qae.verl_plugin.recording.record import RUN_DIRECTORY
from qae.verl_plugin.recording.validation import samples
from qae.verl_plugin.trainer import RecordingTrainer
from sweeps.verl.overrides import verl_overrides
from tests.support.configs import verl_mapping

pytestmark = pytest.mark.slow
K = 0.4
MODES = ("sync", "colocate_async", "separate_async")
R = "actor_rollout_ref.rollout"
APART = (
    f"++{R}.nnodes=1",
    f"++{R}.checkpoint_engine.backend=nccl",
    "++trainer.v1.separate_async.parameter_sync_step=2",
    "++trainer.v1.separate_async.hybrid_rollout.enable_switch=true",
)
# Of each session: right or wrong, and the tokens of its outputs. Two are right.
GROUP = ((1.0, (2,)), (1.0, (4, 1)), (-1.0, (3,)), (-1.0, (2, 2)))
ENTROPY = (0.5 * 2 + 1.5 * 5 + 2.5 * 3 + 3.5 * 4) / 14  # of its tokens, as `put` writes it
EASY = ((1.0, (2,)), (1.0, (2,)), (1.0, (2, 1)), (-1.0, (5,)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    random_model.make(path, random_model.TINY)
    return path


def configured(mode: str, model: Path, *more: str) -> DictConfig:
    """A run as `sweep.py` gives it to verl, and verl's own configuration of it."""
    of_mode = APART if mode == "separate_async" else ()
    keys = (f"trainer.v1.trainer_mode=qae_{mode}", f"actor_rollout_ref.model.path={model}", *of_mode, *more)
    overrides = verl_overrides(verl_mapping("model=qwen3-random-tiny", f"algorithm.quantile_k={K}", *keys))
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    config.transfer_queue.enable = True
    return config


@pytest.fixture(scope="module")
def queue(model: Path) -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=100_000_000)
    tq.init(configured("sync", model).transfer_queue)
    yield
    tq.close()
    ray.shutdown()


def put(uid: str, sessions: tuple[tuple[float, tuple[int, ...]], ...], partition: str = "train") -> KVBatchMeta:
    """A group as verl's agent loop writes it (verl/trainer/ppo/v1/agent_loop_tq.py), last outputs first."""
    keys, fields, tags = [], [], []
    for number, (score, lengths) in enumerate(sessions):
        for output, length in reversed(list(enumerate(lengths))):
            rewards = torch.zeros(length)
            rewards[-1] = score
            keys.append(f"{uid}_{number}_{output}")
            fields.append(
                {
                    "uid": uid,
                    "prompts": torch.full((2 + output,), 7),
                    "responses": torch.full((length,), 10 + number),
                    "response_mask": torch.ones(length, dtype=torch.int64),
                    "rm_scores": rewards,
                    "old_log_probs": torch.zeros(length),
                    "entropy": torch.full((length,), 0.5 + number),
                    "data_source": "aime_test",
                    "extra_info": {"index": 3} if partition == "train" else {},
                    "extra_fields": {"reward_extra_info": {"acc": score > 0, "score": score}},
                }
            )
            tags.append({"status": "success"})
    tq.kv_batch_put(keys=keys, fields=list_of_dict_to_tensordict(fields), tags=tags, partition_id=partition)
    return KVBatchMeta(keys=keys, tags=tags, partition_id=partition)


def recording(config: DictConfig, batches: list[KVBatchMeta]) -> RecordingTrainer:
    """The trainer of a mode whose updates end at the advantages: generation and the actor need devices."""

    class UpToAdvantages(get_trainer_cls(config.trainer.v1.trainer_mode)):  # type: ignore[misc]
        def prepare_step(self) -> dict[str, float]:
            return {}

        def _step_once(self, metrics: dict[str, float], *_: object) -> KVBatchMeta:
            return self._compute_advantage(batches.pop(0), metrics)

    trainer = UpToAdvantages(config)
    trainer.global_steps, trainer.total_training_steps = 1, 2
    trainer._init_tokenizer()
    return cast("RecordingTrainer", trainer)


def stepped(trainer: RecordingTrainer) -> dict[str, float]:
    values: dict[str, float] = {}
    trainer.step(values, {})
    return values


def advantages_of(batch: KVBatchMeta) -> dict[str, float]:
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
    rows = [row.unique().tolist() for row in data["advantages"].unbind()]
    return {key: value for key, (value,) in zip(batch.keys, rows, strict=True)}


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_trains_the_quantile_of_sessions_and_records_its_step(
    mode: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_DIRECTORY, str(tmp_path))
    batches = [put(f"{mode}a", GROUP), put(f"{mode}b", EASY)]
    parts = 2 if mode == "separate_async" else 1
    trainer = recording(configured(mode, model), list(batches))
    assert trainer.trainer_mode == mode
    assert trainer.parameter_sync_step == parts
    buffer = trainer.replay_buffer._buffer
    assert type(buffer) is (ReplayBuffer if mode == "sync" else ReplayBufferAsync)
    assert hasattr(trainer.replay_buffer, "get_sampleable_count") == (mode != "sync")

    values = stepped(trainer)
    of_two = 2 / (2 / math.sqrt(3) + 1e-6)
    found = advantages_of(batches[0])
    for key, value in found.items():
        right = GROUP[int(key.split("_")[-2])][0] > 0
        assert value == pytest.approx(of_two if right else 0.0), key
    assert values[metrics.POSITIVE_FRACTION.name] == (0.5 if parts == 1 else 0.25)
    assert values[metrics.NEGATIVE_FRACTION.name] == (0.0 if parts == 1 else 0.125)
    assert values[metrics.BASELINE_MEAN.name] == (-1.0 if parts == 1 else 0.0)
    assert values[metrics.LENGTH_RIGHT.name] == (3.5 if parts == 1 else (3.5 + 7 / 3) / 2)
    (line,) = map(json.loads, RunDirectory(tmp_path).tokens.read_text().splitlines())
    assert (line["step"], line["responses"]) == (1, 4 * parts)


@pytest.mark.usefixtures("queue")
def test_a_sole_updates_values_are_those_of_its_batch_and_verls_entropy_stays_beside(model: Path) -> None:
    batch = put("sole", GROUP)
    trainer = recording(configured("sync", model, "regularizer=gspo"), [batch])
    values: dict[str, float] = {metrics.ENTROPY.name: 7.0}
    trainer.step(values, {})
    assert values[metrics.ENTROPY.name] == pytest.approx(ENTROPY, rel=1e-6)
    assert values[metrics.ENTROPY_LOSS_MEAN.name] == 7.0


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("estimator", ["qae", "grpo"])
def test_grpo_with_a_quantile_is_described_by_its_quantile(estimator: str, model: Path) -> None:
    batch = put(f"estimator-{estimator}".replace("_", "-"), GROUP)
    values = stepped(recording(configured("sync", model, f"algorithm.adv_estimator={estimator}"), [batch]))
    assert values[metrics.ZERO_FRACTION.name] == 0.5
    assert values[metrics.BASELINE_MEAN.name] == -1.0


@pytest.mark.usefixtures("queue")
def test_k_of_an_entropy_band_moves_once_a_step(model: Path) -> None:
    config = configured("separate_async", model, "controller=entropy_band")
    trainer = recording(config, [put("banda", GROUP), put("bandb", EASY)])
    before = trainer._advantage
    values = stepped(trainer)
    expected = before.at_entropy(ENTROPY)
    assert values[metrics.QUANTILE_K.name] == pytest.approx(expected.quantile_k)
    assert expected.quantile_k != K


@pytest.mark.usefixtures("queue")
def test_a_validation_session_is_one_sample_of_its_problem() -> None:
    found = samples(put("val", GROUP, "val"))
    assert [(one.right, one.length) for one in found] == [(True, 2), (True, 5), (False, 3), (False, 4)]
    assert {one.data_set for one in found} == {"test"}
    # Without a name in the data it is the prompt of the first output: later ones are prompted with what was generated.
    assert len({one.problem for one in found}) == 1
