"""verl's trainers with the toolkit's metrics, per-problem counts and run directory: modes ``qae_sync`` and its like.

Everything is read from the transfer queue after verl has computed it; what is trained on is untouched.
"""

import json
import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import transfer_queue as tq
from torch import Tensor
from verl.trainer.ppo.v1.trainer_base import PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from qae import metrics as names
from qae.config import AdvantageConfig, QuantileOn
from qae.controller import EntropyBand
from qae.evaluation import summarise
from qae.run_directory import write_atomic
from qae.tokens.statistics import count_words, high_entropy_tokens, words_in_vocabulary
from qae.verl_plugin import any_estimator, estimator
from qae.verl_plugin.recording.description import Update, describe, generated_kept, mean_of, rightness, unshaped
from qae.verl_plugin.recording.outputs import Outputs, entropy_sums, policy_entropy
from qae.verl_plugin.recording.record import RecordingTracking, RunRecord, Tracking
from qae.verl_plugin.recording.validation import Sample, ValidationTap, plain, problem_results, samples
from qae.verl_plugin.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from omegaconf import DictConfig
    from tensordict import TensorDictBase
    from transfer_queue import KVBatchMeta

_CONTROLLER_STATE = "quantile_controller.json"
_ROWS_AT_A_TIME = 512
_log = logging.getLogger(__name__)


class RecordingTrainer(PPOTrainer):
    """What each of verl's trainers gets: the toolkit's metrics, the run directory, a stop on request.

    verl's trainer of the mode stands behind it among the bases.

    Attributes:
        verls_mode: the mode that verl's trainer has by verl's own name.
    """

    verls_mode: ClassVar[str]

    def __init__(self, config: "DictConfig") -> None:
        self._record = RunRecord.from_environment()
        self._samples: list[Sample] = []
        self._updates: list[Update] = []
        self._tracking: RecordingTracking | None = None
        self._advantage = _advantage_of(config)
        super().__init__(config)

    @property
    def trainer_mode(self) -> str:
        """Verl compares its mode with its own names in many places, and reads ``trainer.v1.<mode>``."""
        return self.verls_mode

    @trainer_mode.setter
    def trainer_mode(self, value: str) -> None:
        """Verl sets it to the registered name."""

    @property
    def logger(self) -> RecordingTracking | None:
        """Verl's tracking, behind the run directory's; None before training."""
        return self._tracking

    @logger.setter
    def logger(self, tracking: Tracking) -> None:
        self._tracking = RecordingTracking(tracking, self._record)

    @cached_property
    def _markers(self) -> dict[int, str]:
        return words_in_vocabulary(self.tokenizer.get_vocab())

    def _build_replay_buffer(self) -> ValidationTap:
        return ValidationTap(super()._build_replay_buffer(), self._collect)

    def _collect(self, batch: "KVBatchMeta") -> None:
        self._samples += samples(batch)

    def _validate(self) -> dict[str, float]:
        self._samples = []
        values: dict[str, float] = super()._validate()
        results = problem_results(self._samples)
        if results:
            self._record.evaluation(self.global_steps, results)
            values |= summarise(results)
        return values

    def _compute_advantage(self, batch: "KVBatchMeta", metrics: dict[str, float]) -> "KVBatchMeta":
        unshaped_B = self._unshaped(batch) if self._advantage.quantile_on is QuantileOn.ACCURACY else None
        # K is that of a step, of which `separate_async` makes several updates.
        if isinstance(self._advantage.controller, EntropyBand) and self.local_trigger_step == 0:
            self._advantage = self._advantage.at_entropy(self._entropy(batch))
        with estimator.during(estimator.Step(unshaped_B, self._advantage.adapted_k)):
            batch = super()._compute_advantage(batch, metrics)
        self._updates.append(self._update_of(batch))
        return batch

    def _entropy(self, batch: "KVBatchMeta") -> float:
        sums = [entropy_sums(data) for data in _in_parts(batch, ["response_mask", "entropy"])]
        return policy_entropy(*(torch.cat(parts) for parts in zip(*sums, strict=True)))

    def _unshaped(self, batch: "KVBatchMeta") -> Tensor | None:
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        return unshaped(plain(data["extra_fields"]))

    def _update_of(self, batch: "KVBatchMeta") -> Update:
        fields = ["uid", "responses", "response_mask", "rm_scores", "entropy", "advantages", "extra_fields"]
        if self.config.algorithm.use_kl_in_reward:
            fields.append("token_level_rewards")
        parts, uid_B, extra_B = [], [], []
        for data in _in_parts(batch, fields):
            uid_B += data.pop("uid").tolist()
            extra_B += plain(data.pop("extra_fields"))
            parts.append(Outputs.of(data))
        outputs, sessions = Outputs.joined(parts), Sessions.of_keys(_real_keys(batch))
        uids = np.array(uid_B, dtype=object)
        values = describe(outputs, uids, self._advantage, unshaped(extra_B), rightness(extra_B), sessions)
        return Update(values, len(sessions.last_S), outputs.ids_N, outputs.entropy_N)

    def _record_updates(self, metrics: dict[str, float]) -> None:
        """The step's updates in its metrics and its line of tokens."""
        verls_entropy = metrics.get(names.ENTROPY.name)
        metrics |= mean_of(self._updates)
        if verls_entropy is not None and self.config.actor_rollout_ref.actor.loss_agg_mode != "token-mean":
            # verl averages it as it does the loss; runs of different losses compare by the token mean.
            metrics[names.ENTROPY_LOSS_MEAN.name] = verls_entropy
        ids_N = torch.cat([update.ids_N for update in self._updates])
        entropy_N = torch.cat([update.entropy_N for update in self._updates])
        self._record.tokens(
            self.global_steps,
            high_entropy_tokens(ids_N, entropy_N, lambda token: str(self.tokenizer.decode([token]))),
            count_words(ids_N, self._markers),
            sum(update.responses for update in self._updates),
        )

    def _compute_metrics(
        self, batch: "KVBatchMeta", metrics: dict[str, float], timing_raw: dict[str, float], **where: int
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, **where)
        if self.config.algorithm.filter_groups.enable:
            metrics[names.GENERATED_KEPT.name] = generated_kept(self.config.data.train_batch_size, metrics)

    def _save_checkpoint(self) -> None:
        if isinstance(self._advantage.controller, EntropyBand):
            # Before verl's own files: the last of them is what makes a checkpoint complete.
            folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
            folder.mkdir(parents=True, exist_ok=True)
            state = json.dumps({"adapted_k": self._advantage.adapted_k})
            write_atomic(folder / _CONTROLLER_STATE, state.encode())
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if not isinstance(self._advantage.controller, EntropyBand) or self.global_steps == 0:
            return
        trainer = self.config.trainer
        folder = Path(trainer.default_local_dir) / f"global_step_{self.global_steps}"
        state = (Path(trainer.resume_from_path) if trainer.resume_mode == "resume_path" else folder) / _CONTROLLER_STATE
        if not state.exists():
            _log.warning("%s is not there; K starts from algorithm.quantile_k", state)
            return
        self._advantage = self._advantage.continued(json.loads(state.read_text())["adapted_k"])

    def step(self, metrics: dict[str, float], timing_raw: dict[str, float]) -> "KVBatchMeta":
        """A step of verl's; where the job asked to stop, its checkpoint is made whether it is due or not."""
        self._updates = []
        batch = super().step(metrics, timing_raw)
        self._record_updates(metrics)
        if self.global_steps < self.total_training_steps and self._record.stop_requested():
            frequency = self.config.trainer.save_freq
            if frequency <= 0 or self.global_steps % frequency:
                self._save_checkpoint()
            assert self._tracking is not None  # noqa: S101  # fit sets it before the first step
            self._tracking.stops_after_step = True
        return batch


@register_trainer("qae_sync")
class SyncTrainer(RecordingTrainer, PPOTrainerSync):
    """Generation and training take turns."""

    verls_mode = "sync"


@register_trainer("qae_colocate_async")
class ColocateAsyncTrainer(RecordingTrainer, PPOTrainerColocateAsync):
    """They take turns too; responses that are not finished go on under the next weights."""

    verls_mode = "colocate_async"


@register_trainer("qae_separate_async")
class SeparateAsyncTrainer(RecordingTrainer, PPOTrainerSeparateAsync):
    """They run side by side, on GPUs of their own."""

    verls_mode = "separate_async"


def _advantage_of(config: "DictConfig") -> AdvantageConfig:
    algorithm: Mapping[str, object] = config.algorithm
    if any_estimator.estimator_for(config.algorithm.adv_estimator, algorithm) == estimator.NAME:
        return AdvantageConfig.from_mapping(algorithm)
    return AdvantageConfig(norm_by_std=bool(algorithm.get("norm_adv_by_std_in_grpo", True)))


def _real_keys(batch: "KVBatchMeta") -> list[str]:
    """Keys of the rows that are no padding."""
    return [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]


def _in_parts(batch: "KVBatchMeta", fields: list[str]) -> "Iterator[TensorDictBase]":
    """Fields of the rows that are no padding, some rows at a time: all of them would be held twice at once."""
    keys = _real_keys(batch)
    for first in range(0, len(keys), _ROWS_AT_A_TIME):
        part = keys[first : first + _ROWS_AT_A_TIME]
        yield tq.kv_batch_get(keys=part, partition_id=batch.partition_id, select_fields=fields)
