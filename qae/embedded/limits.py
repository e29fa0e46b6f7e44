"""Limits of what the embedded trainers share: what would crash, train nothing or never end is refused in a sentence."""

from qae.embedded.sections import LOSS_AGGREGATIONS, LOSS_MODES, Sections
from qae.errors import ConfigError

_A, _R = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


def check(config: Sections) -> None:
    """Refuse values that no run can have.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    _check_positive(config)
    _check_shares(config)
    _check_method(config)
    _check_batches(config)
    _check_optimizer(config)


def _check_positive(c: Sections) -> None:
    actor, rollout, data = c.actor, c.rollout, c.data
    for key, value in {
        f"{_A}.ppo_mini_batch_size": actor.ppo_mini_batch_size,
        f"{_A}.ppo_epochs": actor.ppo_epochs,
        f"{_A}.optim.lr": actor.optim.lr,
        f"{_A}.grad_clip": actor.grad_clip,
        f"{_A}.clip_ratio_low": actor.clip_ratio_low,
        f"{_A}.clip_ratio_high": actor.clip_ratio_high,
        f"{_A}.policy_loss.clip_cov_ratio": actor.policy_loss.clip_cov_ratio,
        f"{_A}.policy_loss.kl_cov_ratio": actor.policy_loss.kl_cov_ratio,
        f"{_A}.tau_pos": actor.tau_pos,
        f"{_A}.tau_neg": actor.tau_neg,
        f"{_R}.n": rollout.n,
        f"{_R}.temperature": rollout.temperature,
        f"{_R}.val_kwargs.n": rollout.val_kwargs.n,
        f"{_R}.val_kwargs.temperature": rollout.val_kwargs.temperature,
        "data.train_batch_size": data.train_batch_size,
        "data.gen_batch_size": data.gen_batch_size,
        "data.max_response_length": data.max_response_length,
        "trainer.total_training_steps": c.trainer.total_training_steps,
        "algorithm.filter_groups.max_num_gen_batches": c.algorithm.filter_groups.max_num_gen_batches,
    }.items():
        require(value > 0, key, value, "give a number above 0")
    decay = actor.optim.weight_decay
    require(decay >= 0, f"{_A}.optim.weight_decay", decay, "give a number of at least 0")


def _check_shares(c: Sections) -> None:
    noise = c.data.reward_noise
    for key, share in {
        "data.reward_noise.flip": noise.flip,
        "data.reward_noise.random": noise.random,
    }.items():
        require(0 <= share <= 1, key, share, "give a probability between 0 and 1")
    top_p, nucleus = c.rollout.top_p, c.rollout.val_kwargs.top_p
    require(top_p == 1, f"{_R}.top_p", top_p, "the embedded trainer trains on the whole distribution; set 1")
    require(0 < nucleus <= 1, f"{_R}.val_kwargs.top_p", nucleus, "give a share above 0 and at most 1")


def _check_method(c: Sections) -> None:
    actor, algorithm = c.actor, c.algorithm
    loss_mode, beta = actor.policy_loss.loss_mode, actor.policy_loss.dro_beta
    modes = f"choose one of {', '.join(LOSS_MODES)}"
    require(loss_mode in LOSS_MODES, f"{_A}.policy_loss.loss_mode", loss_mode, modes)
    aggregations = f"choose one of {', '.join(LOSS_AGGREGATIONS)}"
    require(actor.loss_agg_mode in LOSS_AGGREGATIONS, f"{_A}.loss_agg_mode", actor.loss_agg_mode, aggregations)
    fix = "loss_mode=bapo is a mean over tokens here; set token-mean"
    means_tokens = actor.loss_agg_mode == "token-mean"
    require(loss_mode != "bapo" or means_tokens, f"{_A}.loss_agg_mode", actor.loss_agg_mode, fix)
    fix = "loss_mode=dro needs a number above 0"
    require(loss_mode != "dro" or (beta is not None and beta > 0), f"{_A}.policy_loss.dro_beta", beta, fix)
    require(actor.clip_ratio_c > 1, f"{_A}.clip_ratio_c", actor.clip_ratio_c, "the dual clip must be above 1")
    fix = "the embedded trainer has no KL loss; set it to false or choose a model of verl"
    require(not actor.use_kl_loss, f"{_A}.use_kl_loss", True, fix)
    fix = "the embedded trainer has no entropy bonus; set it to 0 or choose a model of verl"
    require(actor.entropy_coeff == 0, f"{_A}.entropy_coeff", actor.entropy_coeff, fix)
    fix = "the embedded trainer has one estimator, qae; its mean (quantile_k=-1) is verl's grpo"
    require(algorithm.adv_estimator == "qae", "algorithm.adv_estimator", algorithm.adv_estimator, fix)
    metric = algorithm.filter_groups.metric
    require(metric == "acc", "algorithm.filter_groups.metric", metric, "the embedded trainer filters on acc only")


def _check_batches(c: Sections) -> None:
    fix = "a group of one has no other response to be compared with, so it has no advantage; give at least 2"
    require(c.rollout.n >= 2, f"{_R}.n", c.rollout.n, fix)
    mini, prompts = c.actor.ppo_mini_batch_size, c.data.train_batch_size
    key = f"{_A}.ppo_mini_batch_size"
    require(prompts % mini == 0, key, mini, f"it must divide data.train_batch_size={prompts}")


def _check_optimizer(c: Sections) -> None:
    betas = c.actor.optim.betas
    fix = "give two numbers of at least 0 and below 1"
    require(len(betas) == 2 and all(0 <= beta < 1 for beta in betas), f"{_A}.optim.betas", betas, fix)


def require(holds: bool, key: str, value: object, fix: str) -> None:
    """Refuse a value that lacks what it needs.

    Raises:
        ConfigError: it does not hold.
    """
    if not holds:
        raise ConfigError(key, value, fix)
