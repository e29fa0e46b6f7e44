"""Keys of a configuration that say how to run or what to call it; they change no number of a run.

Run ids (`sweeps.run_store.identity`) and arms (`analysis.runs.naming`) both leave them out, so that two runs with the
same numbers are the same run and the same arm.
"""

SECTIONS = frozenset(
    {
        "labels",
        "tracking",
        "resources",
        "slurm",
        "sweep",
        "search",
        "guard",
        "checkpoints",
        "hydra",
        "ray_kwargs",
        "transfer_queue",
        "global_profiler",
    }
)
# Single keys of verl's sections.
KEYS = frozenset(
    {
        "trainer.save_freq",
        "trainer.logger",
        "trainer.project_name",
        "trainer.experiment_name",
        "trainer.default_local_dir",
        "trainer.resume_mode",
        "trainer.rollout_data_dir",
        "trainer.validation_data_dir",
        "trainer.max_actor_ckpt_to_keep",
        "trainer.nnodes",
        "trainer.n_gpus_per_node",
        "data.dataloader_num_workers",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size",
        "actor_rollout_ref.actor.fsdp_config.param_offload",
        "actor_rollout_ref.actor.fsdp_config.optimizer_offload",
        "actor_rollout_ref.actor.megatron.param_offload",
        "actor_rollout_ref.actor.megatron.optimizer_offload",
        "actor_rollout_ref.ref.fsdp_config.param_offload",
        "actor_rollout_ref.ref.megatron.param_offload",
        "actor_rollout_ref.rollout.gpu_memory_utilization",
        "actor_rollout_ref.rollout.max_num_batched_tokens",
        "actor_rollout_ref.rollout.tensor_model_parallel_size",
    }
)


def is_operational(key: str) -> bool:
    """Whether a dotted key changes no number of a run."""
    return key.partition(".")[0] in SECTIONS or key in KEYS
