"""The policy update: mini-batches of whole groups, one clipped gradient step each."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from qae import metrics
from qae.tiny.config import TinyConfig
from qae.tiny.losses import PolicyLoss
from qae.tiny.model import Transformer
from qae.tiny.rollout import Batch
from qae.tiny.seeding import Purpose, torch_generator, torch_seed


def update_policy(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    loss: PolicyLoss,
    batch: Batch,
    advantage_B: Tensor,
    mask_B_T: Tensor,
    config: TinyConfig,
    step: int,
) -> dict[str, float]:
    """Go through the batch once an epoch in mini-batches of `ppo_mini_batch_size` prompts.

    Args:
        model: the policy, changed in place.
        optimizer: over the policy's parameters.
        loss: see `qae.tiny.losses`.
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
    for group in optimizer.param_groups:
        group["lr"] = lr
    # verl's clip_cov draws its tokens from the global generator.
    torch.manual_seed(torch_seed(config.seed, Purpose.LOSS, step))
    shuffling = torch_generator(config.seed, Purpose.SHUFFLING, step)
    n = config.rollout.n
    logged: list[dict[str, float]] = []
    for _ in range(actor.ppo_epochs):
        for prompts in torch.split(
            torch.randperm(len(advantage_B) // n, generator=shuffling), actor.ppo_mini_batch_size
        ):
            rows = (prompts[:, None] * n + torch.arange(n)).flatten()
            objective, values = _mini_batch_loss(model, loss, batch, rows, advantage_B, mask_B_T, config)
            optimizer.zero_grad()
            objective.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), actor.grad_clip)
            optimizer.step()
            logged.append({**values, metrics.POLICY_LOSS.name: objective.item(), metrics.GRAD_NORM.name: norm.item()})
    return {**_means(logged), metrics.LEARNING_RATE.name: lr}


def _means(logged: list[dict[str, float]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for values in logged:
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _mini_batch_loss(
    model: Transformer,
    loss: PolicyLoss,
    batch: Batch,
    rows: Tensor,
    advantage_B: Tensor,
    mask_B_T: Tensor,
    config: TinyConfig,
) -> tuple[Tensor, dict[str, float]]:
    length = int(batch.responses.mask_B_T[rows].sum(1).max())
    prompt_length = batch.prompt_B_S.shape[1]
    response_B_T = batch.responses.ids_B_T[rows, :length]
    ids_B_S = torch.cat([batch.prompt_B_S[rows], response_B_T[:, :-1]], 1)
    logits_B_T_V = model(ids_B_S, keep_from=prompt_length - 1) / config.rollout.temperature
    log_prob_B_T = -F.cross_entropy(logits_B_T_V.flatten(0, 1), response_B_T.flatten(), reduction="none").view_as(
        response_B_T
    )
    return loss(
        old_log_prob=batch.responses.log_prob_B_T[rows, :length],
        log_prob=log_prob_B_T,
        advantages=advantage_B[rows, None].expand(-1, length),
        response_mask=mask_B_T[rows, :length],
    )
