"""What is odd about a run and legal all the same: sentences for the plan."""

from collections.abc import Iterator, Mapping

from qae.checks import is_number
from qae.nested import value_of

_SAMPLES = 16  # of pass@16, which tables and figures show


def of(config: Mapping[str, object]) -> Iterator[str]:
    """Sentences about a configuration that passed all checks, without a full stop."""
    k = _number(config, "algorithm.quantile_k")
    if k is not None and not 0 < k < 1 and k != -1:
        yield f"algorithm.quantile_k={k:g} is not between 0 and 1, so the baseline is the group's mean"
    samples = _number(config, "actor_rollout_ref.rollout.val_kwargs.n")
    if samples is not None and samples < _SAMPLES:
        yield f"actor_rollout_ref.rollout.val_kwargs.n={samples:g} gives no pass@{_SAMPLES}, which needs {_SAMPLES}"
    warmup = _number(config, "actor_rollout_ref.actor.optim.lr_warmup_steps")
    steps = _number(config, "trainer.total_training_steps")
    if warmup is not None and steps is not None and warmup > steps:
        yield (
            f"actor_rollout_ref.actor.optim.lr_warmup_steps={warmup:g} is more than "
            f"trainer.total_training_steps={steps:g}, so the learning rate never reaches its value"
        )
    frequency = _number(config, "trainer.test_freq")
    if frequency is not None and frequency <= 0:
        yield f"trainer.test_freq={frequency:g} evaluates no trained step, so tables show no pass@k of it"
    filtering = value_of(config, "algorithm.filter_groups.enable") is True
    always_right, flip = _number(config, "data.reward_noise.random") == 1, _number(config, "data.reward_noise.flip")
    if filtering and always_right and flip in (0, 1):
        yield "data.reward_noise.random=1 makes all rewards equal, so dynamic sampling finds no group to learn from"


def _number(config: Mapping[str, object], dotted: str) -> float | None:
    found = value_of(config, dotted)
    return found if is_number(found) else None
