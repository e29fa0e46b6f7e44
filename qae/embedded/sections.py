"""Sections that the embedded trainers have in common, under the keys that verl gives them; torch-free.

The values live in the sweep's configuration tree; here are the types and which of verl's options the embedded trainers
implement.
"""

from dataclasses import dataclass
from typing import Any

VERL_LOSSES = ("clip_cov", "kl_cov", "gspo", "geo_mean", "cispo", "sapo", "dppo_tv", "dppo_kl", "gpg", "dro")
OWN_LOSSES = ("vanilla", "bapo")  # written out in `qae.embedded.losses`
LOSS_MODES = (*OWN_LOSSES, *VERL_LOSSES)
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
        return self.policy_loss.loss_mode not in OWN_LOSSES or self.loss_agg_mode != "token-mean"


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
class Sections:
    """The sections of a run of an embedded trainer; each trainer adds one of its own, named as its backend."""

    seed: int
    algorithm: Algorithm
    actor_rollout_ref: ActorRollout
    data: Data
    trainer: Trainer

    @property
    def actor(self) -> Actor:
        """Short for `actor_rollout_ref.actor`."""
        return self.actor_rollout_ref.actor

    @property
    def rollout(self) -> Rollout:
        """Short for `actor_rollout_ref.rollout`."""
        return self.actor_rollout_ref.rollout
