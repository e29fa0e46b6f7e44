"""The policy update: mini-batches of whole groups, one clipped gradient step each."""

import torch
from torch import Tensor

from qae import metrics
from qae.embedded.batch import Batch, MiniBatch
from qae.embedded.config import EmbeddedConfig
from qae.embedded.policy import Policy
from qae.embedded.seeding import Purpose, torch_generator, torch_seed


def update_policy(
    policy: Policy, batch: Batch, advantage_B: Tensor, mask_B_T: Tensor, config: EmbeddedConfig, step: int
) -> dict[str, float]:
    """Go through the batch once an epoch in mini-batches of `ppo_mini_batch_size` prompts.

    Args:
        policy: changed in place.
        batch: the rollout batch.
        advantage_B: float32 (responses,); every token of a response gets its advantage.
        mask_B_T: tokens that take part in the loss, float32 (responses, tokens).
        config: the run.
        step: global step, from 1; names the shuffling and sets the warm-up of the learning rate.

    Returns:
        verl's actor metrics and clips by sign, each the mean over those of the step's gradient updates that have it.
    """
    actor = config.actor
    warmup = actor.optim.lr_warmup_steps
    lr = actor.optim.lr * (min(1.0, step / warmup) if warmup > 0 else 1.0)
    # verl's clip_cov draws its tokens from the global generator.
    torch.default_generator.manual_seed(torch_seed(config.seed, Purpose.LOSS, step))
    shuffling = torch_generator(config.seed, Purpose.SHUFFLING, step)
    n, size = config.rollout.n, actor.ppo_mini_batch_size * config.rollout.n
    whole = MiniBatch.of(batch, advantage_B, mask_B_T)
    logged: list[dict[str, float]] = []
    for _ in range(actor.ppo_epochs):
        prompts = torch.randperm(len(advantage_B) // n, generator=shuffling)
        shuffled = whole.take((prompts[:, None] * n + torch.arange(n)).flatten())
        parts = (shuffled.take(slice(start, start + size)) for start in range(0, len(advantage_B), size))
        logged += [policy.descend(part, lr) for part in parts]
    return {**metrics.mean_over_updates(logged), metrics.LEARNING_RATE.name: lr}
