"""Settings that verl refuses late or misreads: batches, lengths, losses, estimators, rewards.

The rules are those of verl 0.9.1: `verl/utils/config.py` validate_config, `verl/workers/config/actor.py`.
"""

from collections.abc import Callable

from qae.checks import is_whole
from sweeps.verl import machine
from sweeps.verl.values import ESTIMATOR, UNSET, Run

_A, _R = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


def batches(run: Run) -> None:
    """validate_config, ActorConfig.validate, and train_mini_batch in `verl/workers/engine_workers.py`."""
    prompts, group = run.count("data.train_batch_size"), run.count(f"{_R}.n")
    mini = run.count(f"{_A}.ppo_mini_batch_size")
    key = f"{_A}.ppo_mini_batch_size"
    run.require(prompts % mini == 0, key, f"it must divide data.train_batch_size={prompts}")
    replica, replica_keys = run.gpus_a_replica
    run.require(
        run.gpus % replica == 0,
        "trainer.n_gpus_per_node",
        f"{replica_keys} = {replica} must divide all {run.gpus} GPUs",
    )
    ranks = run.gpus // replica
    run.require(
        mini * group % ranks == 0,
        key,
        f"its {mini * group} responses must divide evenly over {ranks} data-parallel ranks "
        f"({run.gpus} GPUs / {replica})",
    )
    if run.get(f"{_A}.use_dynamic_bsz"):
        return
    least = ranks * run.count(f"{_A}.ppo_micro_batch_size_per_gpu") if run.strategy == "megatron" else run.gpus
    run.require(
        prompts * group % least == 0,
        "data.train_batch_size",
        f"its {prompts * group} responses must be a multiple of {least}",
    )
    for micro in (f"{_A}.ppo_micro_batch_size", f"{_R}.log_prob_micro_batch_size"):
        old, new = run.get(micro), run.get(f"{micro}_per_gpu")
        fix = f"without {_A}.use_dynamic_bsz=true set this one, and not {micro}"
        run.require(old is None and new is not None, f"{micro}_per_gpu", fix)


def lengths(run: Run) -> None:
    """Sequences must fit (`verl/utils/seqlen_balancing.py`), and their parts must be cut where padding is removed."""
    sequence = run.count("data.max_prompt_length") + run.count("data.max_response_length")
    replica, _ = run.gpus_a_replica
    if run.get(f"{_A}.use_dynamic_bsz"):
        budget = run.count(f"{_A}.ppo_max_token_len_per_gpu")
        run.require(
            budget * replica >= sequence,
            f"{_A}.ppo_max_token_len_per_gpu",
            f"a sequence of {sequence} tokens must fit on the {replica} GPUs that share it",
        )
    if run.strategy.startswith("fsdp") and replica > 1:
        run.require(
            run.get("actor_rollout_ref.model.use_remove_padding"),
            "actor_rollout_ref.model.use_remove_padding",
            f"{_A}.ulysses_sequence_parallel_size={replica} needs it to be true",
        )
        # verl/models/transformers/monkey_patch.py: the ranks of a sequence meet in flash attention, and nowhere else.
        attention = str(run.get(machine.ATTENTION) or "flash_attention_2")
        run.require(
            attention.startswith("flash_attention"),
            machine.ATTENTION,
            f"{_A}.ulysses_sequence_parallel_size={replica} would train on parts of sequences; attention=sdpa sets 1",
        )


def rollout(run: Run) -> None:
    """The engine that generates is named, and its GPUs divide into replicas."""
    run.require(run.get(f"{_R}.name") != UNSET, f"{_R}.name", "name the engine that generates, e.g. vllm or sglang")
    tensor = run.count(f"{_R}.tensor_model_parallel_size")
    run.require(run.gpus % tensor == 0, f"{_R}.tensor_model_parallel_size", f"it must divide the run's {run.gpus} GPUs")
    run.require(run.number(f"{_R}.temperature") > 0, f"{_R}.temperature", "give a number above 0")
    samples = run.count(f"{_R}.val_kwargs.n")
    run.require(
        samples == 1 or run.number(f"{_R}.val_kwargs.temperature") > 0,
        f"{_R}.val_kwargs.temperature",
        f"the {samples} samples of a problem would all be the same; give a number above 0",
    )


def losses(run: Run) -> None:
    """A loss has what it needs."""
    loss = str(run.get(f"{_A}.policy_loss.loss_mode"))
    beta = run.get(f"{_A}.policy_loss.dro_beta")
    run.require(
        loss != "dro" or (isinstance(beta, int | float) and beta > 0),
        f"{_A}.policy_loss.dro_beta",
        "loss_mode=dro needs a number above 0",
    )
    run.require(
        loss not in ("gspo", "sapo") or run.get(f"{_A}.loss_agg_mode") == "seq-mean-token-mean",
        f"{_A}.loss_agg_mode",
        f"loss_mode={loss} is a mean over sequences; set seq-mean-token-mean",
    )


def kl(run: Run) -> None:
    """The KL penalty is taken once, with an estimator that verl has."""
    in_reward = run.get("algorithm.use_kl_in_reward")
    run.require(
        not (in_reward and run.get(f"{_A}.use_kl_loss")),
        "algorithm.use_kl_in_reward",
        f"{_A}.use_kl_loss=true penalises the same KL again; set one of them",
    )
    run.require(
        not (in_reward and _uses_quantile(run) and run.get("algorithm.quantile_on") != "accuracy"),
        "algorithm.use_kl_in_reward",
        "every score of a group would be another, so that a quantile is one response's score; set "
        "algorithm.quantile_on=accuracy, or choose regularizer=kl_penalty",
    )


def estimator(run: Run) -> None:
    """The quantile of verl's grpo is ours (`qae.verl_plugin.any_estimator`)."""
    key = "algorithm.adv_estimator"
    own = run.get(key) == ESTIMATOR
    run.require(
        own or run.get(key) == "grpo" or not _uses_quantile(run),
        key,
        f"it has no quantile for algorithm.quantile_k; set {ESTIMATOR}",
    )
    run.require(
        own or run.get("algorithm.advantage") in (None, "quantile"),
        key,
        f"only {ESTIMATOR} reads algorithm.advantage; set {ESTIMATOR}",
    )


def median(run: Run) -> None:
    """The median rule leaves its pivot out of the update by a mask, and an estimator of verl cannot change the mask."""
    key = f"{_R}.n"
    odd = run.get("algorithm.advantage") == "median" and run.number(key) % 2 == 1
    run.require(not odd, key, "advantage=median drops a response of each odd group, which verl cannot; give an even n")


def _uses_quantile(run: Run) -> bool:
    k = run.get("algorithm.quantile_k")
    adapted = any(key.startswith("algorithm.quantile_controller.") for key in run.values)
    return adapted or (isinstance(k, int | float) and 0 < k < 1)


def dynamic_sampling(run: Run) -> None:
    """`verl/trainer/ppo/v1/trainer_base.py` _resolve_filter_groups_metric and _init_dataloader."""
    if not run.get("algorithm.filter_groups.enable"):
        return
    run.require(run.get("trainer.use_v1"), "trainer.use_v1", "dynamic sampling needs true")
    run.require(run.get("algorithm.filter_groups.metric"), "algorithm.filter_groups.metric", "name one, e.g. acc")
    run.require(
        run.get("data.gen_batch_size") in (None, 1),
        "data.gen_batch_size",
        "with dynamic sampling verl generates prompt by prompt; leave it out and set "
        "algorithm.filter_groups.max_inflight_gen_batches",
    )
    batches = run.get("algorithm.filter_groups.max_num_gen_batches")
    run.require(
        not isinstance(batches, int | float) or batches <= 0,
        "algorithm.filter_groups.max_num_gen_batches",
        "verl's trainer ignores it; leave it out and set algorithm.filter_groups.max_inflight_gen_batches",
    )
    run.count("algorithm.filter_groups.max_inflight_gen_batches")


def reward(run: Run) -> None:
    """`verl/experimental/reward_loop/reward_manager/dapo.py`."""
    kwargs = "reward.reward_kwargs"
    if run.get("reward.reward_manager.name") != "dapo" or not run.get(f"{kwargs}.overlong_buffer_cfg.enable"):
        return
    buffer, longest = run.count(f"{kwargs}.overlong_buffer_cfg.len"), run.count(f"{kwargs}.max_resp_len")
    run.require(
        buffer <= longest, f"{kwargs}.overlong_buffer_cfg.len", f"it must be at most {kwargs}.max_resp_len={longest}"
    )


def steps(run: Run) -> None:
    """The steps are counted, and a checkpoint is whole once it is there."""
    value = run.get("trainer.total_training_steps")
    run.require(
        is_whole(value) and value > 0,
        "trainer.total_training_steps",
        "give a whole number above 0; plan, progress and resuming count them",
    )
    saving = f"{_A}.checkpoint.async_save"
    run.require(
        not run.get(saving),
        saving,
        "after a kill nobody could tell whether a checkpoint that is written beside the training is whole; set false",
    )


RULES: tuple[Callable[[Run], None], ...] = (
    steps,
    batches,
    lengths,
    rollout,
    losses,
    kl,
    estimator,
    median,
    dynamic_sampling,
    reward,
)
