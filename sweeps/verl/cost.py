"""GPU seconds of a global step of verl, from the sizes in a configuration; docs/gpu_hours.md explains."""

from collections.abc import Mapping
from dataclasses import dataclass

from qae.nested import value_of


@dataclass(frozen=True)
class Assumptions:
    """What the estimate takes for granted; a token costs 2N FLOPs forward and 6N forward and backward.

    Attributes:
        peak: FLOP/s of a GPU, dense bf16; 989e12 is an H100 SXM's.
        generation: share of the peak that generation reaches over a whole step, idle GPUs at its end included.
        forward: share that log-probabilities reach.
        training: share that updates reach, recomputed activations and offloading not counted as work.
        response: mean length of a response as a share of `data.max_response_length`.
        prompt: tokens of a prompt.
        kept: share of generated groups that dynamic sampling keeps.
        problems: of all validation sets together (AIME24, AIME25 and AMC23 have 30 + 30 + 40).
    """

    peak: float = 989e12
    generation: float = 0.03
    forward: float = 0.30
    training: float = 0.30
    response: float = 0.25
    prompt: int = 150
    kept: float = 0.5
    problems: int = 100


DEFAULT = Assumptions()


def step_gpu_seconds(config: Mapping[str, object], assumed: Assumptions = DEFAULT) -> float | None:
    """GPU seconds of a global step of verl, its share of the validations included.

    Args:
        config: resolved; ``resources.parameters`` is the number of parameters that a token passes.
        assumed: throughput and lengths.

    Returns:
        None where the configuration does not say how large the model is.
    """
    size = _number(config, "resources.parameters")
    if not size:
        return None
    rollout, actor = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
    responses = _number(config, "data.train_batch_size") * _number(config, f"{rollout}.n")
    generated = assumed.response * _number(config, "data.max_response_length")
    tokens = generated + assumed.prompt
    kept = assumed.kept if value_of(config, "algorithm.filter_groups.enable") else 1.0
    needs_reference = value_of(config, f"{actor}.use_kl_loss") or value_of(config, "algorithm.use_kl_in_reward")
    every = _number(config, "trainer.test_freq")
    validated = assumed.problems * _number(config, f"{rollout}.val_kwargs.n", 1) / every if every > 0 else 0.0
    flops_over_share = (
        2 * size * generated * (responses / kept + validated) / assumed.generation
        + 2 * size * tokens * responses * (2 if needs_reference else 1) / assumed.forward
        + 6 * size * tokens * responses * _number(config, f"{actor}.ppo_epochs", 1) / assumed.training
    )
    return flops_over_share / assumed.peak


def _number(config: Mapping[str, object], key: str, default: float = 0.0) -> float:
    value = value_of(config, key)
    return value if isinstance(value, int | float) else default
