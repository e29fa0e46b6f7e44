"""Every knob of the embedded trainer, under the key that verl gives it; torch-free.

The values live in the sweep's configuration tree; here are the types, the limits and which of verl's options
the embedded trainer implements. Anything else is an error that names the key.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedValueType,
    ValidationError,
)

from qae.checks import is_whole
from qae.config import AdvantageConfig
from qae.errors import ConfigError

VERL_LOSSES = ("clip_cov", "kl_cov", "gspo", "geo_mean", "cispo", "sapo", "dppo_tv", "dppo_kl", "gpg", "dro")
_LISTS = (list[float], list[int])
_NUMBERS = (int, float, float | None, *_LISTS)
LOSS_MODES = ("vanilla", *VERL_LOSSES)
LOSS_AGGREGATIONS = ("token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm")


@dataclass
class FilterGroups:
    """DAPO's dynamic sampling: groups with all or no response correct are sampled again.

    verl's recipe aborts after `max_num_gen_batches`; here the step goes on with the groups it has.
    """

    enable: bool
    metric: str
    max_num_gen_batches: int


@dataclass
class Algorithm:
    """verl's `algorithm` section."""

    adv_estimator: str
    quantile_k: Any
    quantile_definition: str
    advantage: str
    norm_adv_by_std_in_grpo: bool
    filter_groups: FilterGroups
    quantile_on: str = "score"  # the task's scores are accuracies: both are the same
    quantile_controller: Any = None


@dataclass
class PolicyLossOptions:
    """verl's `actor_rollout_ref.actor.policy_loss` section."""

    loss_mode: str
    clip_cov_ratio: float
    clip_cov_lb: float
    clip_cov_ub: float
    kl_cov_ratio: float
    ppo_kl_coef: float
    dro_beta: float | None = None


@dataclass
class Optimizer:
    """verl's `actor_rollout_ref.actor.optim` section; AdamW."""

    lr: float
    lr_warmup_steps: int
    weight_decay: float
    betas: list[float]


@dataclass
class Actor:
    """verl's `actor_rollout_ref.actor` section; batch sizes count prompts, as in verl."""

    ppo_mini_batch_size: int
    ppo_epochs: int
    clip_ratio_low: float
    clip_ratio_high: float
    clip_ratio_c: float
    loss_agg_mode: str
    entropy_coeff: float
    use_kl_loss: bool
    grad_clip: float
    policy_loss: PolicyLossOptions
    optim: Optimizer
    tau_pos: float = 1.0
    tau_neg: float = 1.05
    kl_loss_coef: float = 0.001
    kl_loss_type: str = "low_var_kl"

    @property
    def needs_verl(self) -> bool:
        """Whether the loss is verl's own function, whose import takes a quarter of a minute."""
        return self.policy_loss.loss_mode != "vanilla" or self.loss_agg_mode != "token-mean"


@dataclass
class ValidationSampling:
    """verl's `actor_rollout_ref.rollout.val_kwargs` section."""

    n: int
    temperature: float
    top_p: float


@dataclass
class Rollout:
    """verl's `actor_rollout_ref.rollout` section; n is the group size G."""

    n: int
    temperature: float
    top_p: float
    val_kwargs: ValidationSampling


@dataclass
class ActorRollout:
    """verl's `actor_rollout_ref` section."""

    actor: Actor
    rollout: Rollout


@dataclass
class RewardNoise:
    """A verifier that errs, in training only.

    Attributes:
        flip: probability that a reward is inverted.
        random: where above 0, rewards are Bernoulli(random) whatever the response (the control in which
            nothing can be learnt and only the baseline and the clip act on entropy).
    """

    flip: float
    random: float


@dataclass
class Data:
    """verl's `data` section; batch sizes count prompts, lengths count tokens."""

    train_batch_size: int
    gen_batch_size: int
    max_response_length: int
    reward_noise: RewardNoise


@dataclass
class Trainer:
    """verl's `trainer` section; frequencies in global steps, 0 or less for never."""

    total_training_steps: int
    test_freq: int
    save_freq: int
    val_before_train: bool


@dataclass
class Task:
    """Chained modular arithmetic and the teacher that solves it imperfectly; see `qae.tiny.task`."""

    modulus: int
    pretrain_operations: list[int]
    operations: list[int]
    markers: int
    marker_repeat: float
    reliability: list[float]
    misconception: float
    redo_wrong: float
    redo_right: float
    evaluation_problems: int
    seed: int


@dataclass
class Model:
    """Size of the transformer."""

    width: int
    layers: int
    heads: int


@dataclass
class Pretrain:
    """The supervised start on the teacher's solutions."""

    examples: int
    steps: int
    batch_size: int
    lr: float
    seed: int


@dataclass
class Embedded:
    """The `tiny` section: what verl has no key for."""

    task: Task
    model: Model
    pretrain: Pretrain


@dataclass
class TinyConfig:
    """One run of the embedded trainer."""

    seed: int
    algorithm: Algorithm
    actor_rollout_ref: ActorRollout
    data: Data
    trainer: Trainer
    tiny: Embedded
    advantage: AdvantageConfig = field(init=False)

    def __post_init__(self) -> None:
        self.advantage = AdvantageConfig.from_mapping(
            {f.name: getattr(self.algorithm, f.name) for f in fields(self.algorithm)}
        )
        from qae.tiny import limits

        limits.check(self)

    @property
    def actor(self) -> Actor:
        """Short for `actor_rollout_ref.actor`."""
        return self.actor_rollout_ref.actor

    @property
    def rollout(self) -> Rollout:
        """Short for `actor_rollout_ref.rollout`."""
        return self.actor_rollout_ref.rollout

    @classmethod
    def from_mapping(cls, config: Mapping[str, object]) -> "TinyConfig":
        """Read the sections that the embedded trainer knows from a composed configuration.

        Args:
            config: resolved mapping; top-level sections that are not fields of this class are operational
                and left alone, every key inside a section must be known.

        Raises:
            ConfigError: an unknown or missing key, a value of another type or outside its limits.
        """
        sections = [f for f in fields(cls) if f.init]
        if missing := [f.name for f in sections if f.name not in config]:
            raise ConfigError(missing[0], None, "the embedded trainer needs this section; choose model=tiny")
        values = {
            f.name: _section(f.name, cast("type", f.type), config[f.name])
            if is_dataclass(f.type)
            else _integer(f.name, config[f.name])
            for f in sections
        }
        return cls(**cast("dict[str, Any]", values))


def _integer(key: str, value: object) -> int:
    if not is_whole(value):
        raise ConfigError(key, value, "give a whole number")
    return value


def _section(name: str, schema: type, values: object) -> object:
    if not isinstance(values, Mapping):
        raise ConfigError(name, values, f"give the section's keys: {', '.join(f.name for f in fields(schema))}")
    _known_keys(name, schema, values)
    _check_numbers(name, schema, values)
    try:
        return _typed(schema, _Content(repr(values), values))
    except MissingMandatoryValue as error:
        raise ConfigError(f"{name}.{error.full_key}", None, "the embedded trainer needs this key") from None
    except (ValidationError, UnsupportedValueType, ConfigKeyError) as error:
        key = f"{name}.{error.full_key}"
        raise ConfigError(key, _lookup(values, error.full_key), str(error).splitlines()[0]) from None
    except OmegaConfBaseException as error:
        raise ConfigError(name, values, str(error).splitlines()[0]) from None


@dataclass(frozen=True)
class _Content:
    """A section's values, told apart by how they are written: 1, 1.0 and true are equal and not the same."""

    text: str
    values: Mapping[Any, object] = field(compare=False)


# The runs of a sweep have most sections in common.
@lru_cache(maxsize=256)
def _typed(schema: type, content: _Content) -> object:
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create(dict(content.values))))


def _known_keys(path: str, schema: type, values: Mapping[Any, object]) -> None:
    known = {f.name: f for f in fields(schema) if f.init}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {path}.{close[0]}?" if close else f"it knows {', '.join(known)}"
            raise ConfigError(f"{path}.{key}", value, f"the embedded trainer does not implement this key; {hint}")
        kind = known[key].type
        if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
            _known_keys(f"{path}.{key}", kind, value)


def _check_numbers(path: str, schema: type, values: Mapping[Any, object]) -> None:
    """Refuse what OmegaConf would turn into a number: text and true, whose run ids differ from the number's."""
    for f in fields(schema):
        if not f.init or f.name not in values:
            continue
        key, value = f"{path}.{f.name}", values[f.name]
        if isinstance(f.type, type) and is_dataclass(f.type) and isinstance(value, Mapping):
            _check_numbers(key, f.type, value)
        elif f.type in _NUMBERS:
            for one in value if isinstance(value, list) and f.type in _LISTS else [value]:
                if isinstance(one, str | bool) or (isinstance(one, float) and not math.isfinite(one)):
                    raise ConfigError(key, value, "give a finite number, written as one and not as text")


def _lookup(values: Mapping[Any, object], dotted: str | None) -> object:
    found: object = values
    for part in (dotted or "").split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
