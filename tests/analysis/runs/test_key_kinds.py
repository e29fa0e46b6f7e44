"""The rule of names, on every key of verl's own configurations: what a reviewer may want to read."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from analysis.runs.configuration import flatten
from analysis.runs.key_kinds import names_a_seed, reason_left_out
from qae.operational import is_operational

SEEDS = """
    actor_rollout_ref.actor.data_loader_seed actor_rollout_ref.actor.fsdp_config.seed
    actor_rollout_ref.actor.megatron.seed actor_rollout_ref.actor.torchtitan.seed
    actor_rollout_ref.actor.veomni.seed actor_rollout_ref.ref.fsdp_config.seed actor_rollout_ref.ref.megatron.seed
    actor_rollout_ref.ref.torchtitan.seed actor_rollout_ref.ref.veomni.seed actor_rollout_ref.rollout.seed
    critic.data_loader_seed critic.fsdp.seed critic.megatron.seed critic.torchtitan.seed critic.veomni.seed
    data.seed reward.reward_model.rollout.seed
"""
# Left out by their names, profilers aside.
OPERATIONAL = """
    actor_rollout_ref.actor.checkpoint.save_contents actor_rollout_ref.nccl_timeout
    actor_rollout_ref.rollout.agent.num_workers actor_rollout_ref.rollout.disaggregation.bootstrap_port
    actor_rollout_ref.rollout.disaggregation.ib_device actor_rollout_ref.rollout.prometheus.file
    actor_rollout_ref.rollout.prometheus.port actor_rollout_ref.rollout.trace.experiment_name
    actor_rollout_ref.rollout.trace.project_name critic.checkpoint.save_contents critic.nccl_timeout reward.num_workers
    reward.reward_model.rollout.disaggregation.bootstrap_port reward.reward_model.rollout.disaggregation.ib_device
    reward.sandbox_fusion.url reward_model.num_workers sandbox_fusion.url skip.async_rollout.dump_dir
    skip.rollout.dump_dir skip.rollout_tq.dump_dir trainer.default_hdfs_dir trainer.device
    trainer.max_critic_ckpt_to_keep trainer.resume_from_path
"""


@cache
def keys_of_verl() -> tuple[str, ...]:
    """Every key of the trainer's configurations with each engine."""
    spec = find_spec("verl")
    assert spec is not None
    assert spec.origin is not None
    files = (Path(spec.origin).parent / "trainer" / "config").glob("_generated_ppo_*trainer.yaml")
    return tuple(sorted({key for file in files for key in flatten(yaml.safe_load(file.read_bytes()))}))


def test_the_seeds_of_verl_are_these() -> None:
    assert [key for key in keys_of_verl() if names_a_seed(key)] == SEEDS.split()
    assert {key for key in keys_of_verl() if "seed" in key.rpartition(".")[2]} == set(SEEDS.split())


def test_what_is_left_out_of_verl_by_its_name_is_this() -> None:
    found = [
        key
        for key in keys_of_verl()
        if reason_left_out(key) and not names_a_seed(key) and not is_operational(key) and ".profiler." not in key
    ]
    assert found == OPERATIONAL.split()


@pytest.mark.parametrize(
    "key", ["dataSeed", "data-seed", "data/seed", "PYTHONHASHSEED", "rng_seed", "env.0.seed", "seeds"]
)
def test_a_seed_is_one_however_it_is_written(key: str) -> None:
    assert names_a_seed(key)


@pytest.mark.parametrize("key", ["name", "id", "group"])
def test_a_word_names_the_run_only_at_the_top(key: str) -> None:
    assert reason_left_out(key)
    assert not reason_left_out(f"model.{key}")
