"""What verl would refuse or silently misread in a run, said before anything is submitted.

Values are checked against the installed verl's own YAML and source, neither of which is imported. The rules are those
of verl 0.9.1: `verl/utils/config.py` validate_config, `verl/workers/config/actor.py`, `verl/trainer/ppo/v1/`.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qae.checks import boolean, is_number, is_whole, whole_number
from qae.errors import ConfigError
from sweeps import verl_learning, verl_machine, verl_modes, verl_source
from sweeps.verl_overrides import engine, verl_values

# Keys of ours in verl's `algorithm` section: the estimator reads them.
OUR_ALGORITHM_KEYS = ("quantile_k", "quantile_definition", "quantile_on", "quantile_controller", "advantage")
OUR_LOSS_MODES = ("bapo",)
ESTIMATOR = "qae"
DEVICES = ("cuda", "cpu")  # the second one for the development aid; nobody has tried the toolkit on others
CPU_ROLLOUT, UNSET = "hf_cpu", "???"
LOSS_AGGREGATIONS = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm")
KL_ESTIMATORS = ("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3", "full")

_A, _R = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
# Sections that verl hands on to other libraries, or reads key by key: any key may stand there.
_OPEN = (
    "reward.reward_kwargs",
    "reward.custom_reward_function.reward_kwargs",
    "ray_kwargs.ray_init",
    f"{_A}.fsdp_config.wrap_policy",
    f"{_A}.megatron.override_transformer_config",
    "actor_rollout_ref.ref.megatron.override_transformer_config",
)


def check(config: Mapping[str, object], *, exists: Callable[[Path], bool] | None) -> None:
    """Refuse a run that verl could not train as it is written.

    Args:
        config: resolved, with ``backend: verl``.
        exists: says whether a local data file does; None: they need not.

    Raises:
        ConfigError: verl is missing or too old; an unknown key or name; values that do not go together.
    """
    source = verl_source.find()
    run = Run(verl_values(config), source.defaults(engine(config)))
    _check_keys(run)
    _check_names(run, source)
    for rule in _RULES:
        rule(run)
    if exists is not None:
        _check_files(run, exists)


@dataclass(frozen=True)
class Run:
    """A run's own values over verl's defaults."""

    values: Mapping[str, object]
    defaults: Mapping[str, object]

    def get(self, key: str) -> object:
        """The run's value, else verl's default, else None."""
        if key in self.values:
            return self.values[key]
        found: object = self.defaults
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def number(self, key: str) -> float:
        """A number that must be there."""
        value = self.get(key)
        if not is_number(value):
            raise ConfigError(key, value, "give a number")
        return value

    def count(self, key: str) -> int:
        """A whole number above 0."""
        return whole_number(key, self.get(key), 1)

    def require(self, holds: object, key: str, fix: str) -> None:
        """Refuse the value of a key where a condition does not hold."""
        if not holds:
            raise ConfigError(key, self.get(key), fix)

    @property
    def strategy(self) -> str:
        """The actor's engine: fsdp, fsdp2, megatron and others."""
        return str(self.get(f"{_A}.strategy"))

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return self.count("trainer.n_gpus_per_node") * self.count("trainer.nnodes")

    @property
    def gpus_a_replica(self) -> tuple[int, str]:
        """GPUs that hold one copy of the data-parallel actor, and the keys that say so."""
        if self.strategy == "megatron":
            names = ("tensor_model_parallel_size", "pipeline_model_parallel_size", "context_parallel_size")
            product = 1
            for name in names:
                product *= self.count(f"{_A}.megatron.{name}")
            return product, f"{_A}.megatron's tensor x pipeline x context parallel size"
        key = f"{_A}.ulysses_sequence_parallel_size"
        return self.count(key), key


def _check_keys(run: Run) -> None:
    for key, value in run.values.items():
        section, _, rest = key.partition(".")
        if key == "model_engine" or (section == "algorithm" and rest.partition(".")[0] in OUR_ALGORITHM_KEYS):
            continue
        place = _place(run.defaults, key)
        if place is None:
            names = [*_dotted(run.defaults), *(f"algorithm.{name}" for name in OUR_ALGORITHM_KEYS)]
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {close[0]}?" if close else "`qae verl-command` prints what a run sets"
            raise ConfigError(key, value, f"verl has no such key; {hint}")
        _check_kind(key, value, place)


@dataclass(frozen=True)
class _Place:
    """Where a key stands: verl's default, or None in a section that is open."""

    default: object


def _place(defaults: Mapping[str, object], key: str) -> _Place | None:
    if any(key == section or key.startswith(f"{section}.") for section in _OPEN):
        return _Place(None)
    section: object = defaults
    for part in key.split("."):
        if isinstance(section, Mapping) and section:
            if part not in section:
                return None
            section = section[part]
        elif section is None or isinstance(section, Mapping):  # verl's null or {}: to be filled by the user
            return _Place(None)
        else:
            return None
    return _Place(section)


def _check_kind(key: str, value: object, place: _Place) -> None:
    default = place.default
    if isinstance(default, bool):
        boolean(key, value)
    elif isinstance(default, int | float):
        if value is not None and not is_number(value):
            raise ConfigError(key, value, "give a number")
    elif isinstance(default, Mapping) and default and not isinstance(value, Mapping):
        raise ConfigError(key, value, f"this is a section; it has {', '.join(map(str, default))}")


def _dotted(section: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


def _check_names(run: Run, source: verl_source.Verl) -> None:
    closed: dict[str, Sequence[str]] = {
        f"{_A}.policy_loss.loss_mode": (*source.loss_modes(), *OUR_LOSS_MODES),
        "algorithm.adv_estimator": (ESTIMATOR, *source.estimators()),
        verl_modes.KEY: (*verl_modes.OF_VERL, *verl_modes.OURS),
        "trainer.device": DEVICES,
        f"{_R}.name": (*source.rollouts(), CPU_ROLLOUT, UNSET),
        f"{_A}.loss_agg_mode": LOSS_AGGREGATIONS,
        f"{_A}.kl_loss_type": [*KL_ESTIMATORS, *(f"{name}+" for name in KL_ESTIMATORS)],
    }
    for key, choices in closed.items():
        value = str(run.get(key))
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(key, run.get(key), f"{hint}choose one of {', '.join(choices)}")


def _batches(run: Run) -> None:
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


def _lengths(run: Run) -> None:
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
        attention = str(run.get(verl_machine.ATTENTION) or "flash_attention_2")
        run.require(
            attention.startswith("flash_attention"),
            verl_machine.ATTENTION,
            f"{_A}.ulysses_sequence_parallel_size={replica} would train on parts of sequences; attention=sdpa sets 1",
        )


def _rollout(run: Run) -> None:
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


def _losses(run: Run) -> None:
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


def _kl(run: Run) -> None:
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


def _estimator(run: Run) -> None:
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


def _median(run: Run) -> None:
    """The median rule takes its pivot out of the update; verl's mask, which decides that, is not an estimator's."""
    key = f"{_R}.n"
    odd = run.get("algorithm.advantage") == "median" and run.number(key) % 2 == 1
    run.require(not odd, key, "advantage=median drops a response of each odd group, which verl cannot; give an even n")


def _uses_quantile(run: Run) -> bool:
    k = run.get("algorithm.quantile_k")
    adapted = any(key.startswith("algorithm.quantile_controller.") for key in run.values)
    return adapted or (isinstance(k, int | float) and 0 < k < 1)


def _dynamic_sampling(run: Run) -> None:
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


def _reward(run: Run) -> None:
    """`verl/experimental/reward_loop/reward_manager/dapo.py`."""
    kwargs = "reward.reward_kwargs"
    if run.get("reward.reward_manager.name") != "dapo" or not run.get(f"{kwargs}.overlong_buffer_cfg.enable"):
        return
    buffer, longest = run.count(f"{kwargs}.overlong_buffer_cfg.len"), run.count(f"{kwargs}.max_resp_len")
    run.require(
        buffer <= longest, f"{kwargs}.overlong_buffer_cfg.len", f"it must be at most {kwargs}.max_resp_len={longest}"
    )


def _steps(run: Run) -> None:
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


_RULES: tuple[Callable[[Run], None], ...] = (
    verl_learning.finite,
    _steps,
    _batches,
    _lengths,
    _rollout,
    _losses,
    _kl,
    _estimator,
    _median,
    _dynamic_sampling,
    _reward,
    *verl_modes.RULES,
    *verl_learning.RULES,
)


def _check_files(run: Run, exists: Callable[[Path], bool]) -> None:
    for key in ("data.train_files", "data.val_files"):
        value = run.get(key)
        for file in value if isinstance(value, list | tuple) else [value]:
            if (
                not str(file).startswith(("cache:", "hdfs:"))
                and "://" not in str(file)
                and not exists(Path(str(file)).expanduser())
            ):
                raise ConfigError(
                    key,
                    file,
                    "there is no such file; `qae data prepare` writes it, $QAE_DATA says where it is looked for",
                )
