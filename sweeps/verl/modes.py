"""Modes of verl's trainer (`trainer.v1.trainer_mode`): its own, and ours, which record (`qae.verl_plugin.trainer`).

The rules are those of verl 0.9.1: `verl/trainer/ppo/v1/trainer_base.py`, `trainer_separate_async.py`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qae.errors import ConfigError
from qae.nested import value_of

if TYPE_CHECKING:
    from sweeps.verl.values import Run

KEY = "trainer.v1.trainer_mode"
SEPARATE = "separate_async"
OF_VERL = ("sync", "colocate_async", SEPARATE)
OURS = tuple(f"qae_{mode}" for mode in OF_VERL)
_A, _R = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


def check(config: Mapping[str, object]) -> None:
    """Refuse a run of verl that the toolkit could not follow, or whose GPUs it would count wrongly.

    Raises:
        ConfigError: names the key, the value and the toolkit's way.
    """
    mode = value_of(config, KEY)
    if mode is None:
        raise ConfigError("backend", "verl", "choose one of verl's models with model=, which brings verl's settings")
    _check_followed(mode)
    for key, ours in {
        "trainer.nnodes": "resources.nodes",
        "trainer.n_gpus_per_node": "resources.gpus_per_node",
    }.items():
        if value_of(config, key) != value_of(config, ours):
            raise ConfigError(key, value_of(config, key), f"set {ours}, which Slurm and the plan read too")


def _check_followed(mode: object) -> None:
    if mode not in OURS:
        ours = f"qae_{mode}" if mode in OF_VERL[:-1] else OURS[0]
        fix = f"verl's own trainers write down no step for the toolkit; set {ours}, or start it by `qae verl-command`"
        raise ConfigError(KEY, mode, fix)
    if mode == f"qae_{SEPARATE}":
        fix = f"plans and Slurm jobs count no GPUs of {_R}; set {OURS[1]}, or start it by `qae verl-command`"
        raise ConfigError(KEY, mode, fix)


def recording(run: "Run") -> None:
    """Our modes are v1's, and bypass mode computes no old log-probabilities and no entropies (`_step_once`)."""
    if run.get(KEY) not in OURS:
        return
    run.require(run.get("trainer.use_v1"), "trainer.use_v1", f"{KEY}={run.get(KEY)} needs true")
    run.require(
        not run.get("algorithm.rollout_correction.bypass_mode"),
        "algorithm.rollout_correction.bypass_mode",
        f"verl then computes no entropy, which {run.get(KEY)} logs of each step; set false",
    )


def separate(run: "Run") -> None:
    """The assertions of `PPOTrainerSeparateAsync.__init__`; `hybrid_engine` in `ppo_trainer.yaml`."""
    mode = str(run.get(KEY))
    if not mode.endswith(SEPARATE):
        key = "actor_rollout_ref.hybrid_engine"
        run.require(run.get(key), key, f"{KEY}={mode} generates on the trainer's GPUs; leave it out")
        return
    for key in (f"{_R}.nnodes", f"{_R}.n_gpus_per_node"):
        run.require(run.number(key) > 0, key, f"{KEY}={mode} generates on GPUs of its own; give at least 1")
    backend = f"{_R}.checkpoint_engine.backend"
    run.require(run.get(backend) != "naive", backend, f"{KEY}={mode} sends weights between GPUs; set nccl")
    parts = run.count(f"trainer.v1.{SEPARATE}.parameter_sync_step")
    batch = parts * run.count(f"{_A}.ppo_mini_batch_size")
    run.require(
        run.get("data.train_batch_size") == batch,
        "data.train_batch_size",
        f"{KEY}={mode} needs trainer.v1.{SEPARATE}.parameter_sync_step={parts} mini-batches, {batch} prompts",
    )
    model = "reward.reward_model.enable_resource_pool"
    run.require(
        not run.get("reward.reward_model.enable") or run.get(model),
        model,
        f"{KEY}={mode} needs the reward model on GPUs of its own; set true",
    )


RULES: tuple[Callable[["Run"], None], ...] = (recording, separate)
