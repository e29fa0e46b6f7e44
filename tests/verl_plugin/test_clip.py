"""verl's losses with counts of their clip: trained as before, and the numbers are those of the batch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from verl.trainer.ppo import ray_trainer
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.trainer.ppo.v1 import trainer_base
from verl.utils import metric
from verl.utils.metric import AggregationType, Metric
from verl.utils.py_functional import append_to_dict, rename_dict
from verl.workers.config import DistillationLossConfig
from verl.workers.config.actor import ActorConfig, PolicyLossConfig

from qae import metrics
from qae.updates.bapo import clip_bounds
from qae.verl_plugin import clip

COUNTED = ("vanilla", "clip_cov", "gspo", "bapo")
OTHERS = ("kl_cov", "sapo", "cispo", "geo_mean", "dppo_tv", "gpg")
NAMES = (metrics.CLIP_FRACTION_POSITIVE.name, metrics.CLIP_FRACTION_NEGATIVE.name, metrics.CLIP_DRIFT.name)
LOW, HIGH = 0.2, 0.28
FIELDS = ("old", "new", "advantage", "mask")


def configured(name: str) -> ActorConfig:
    return ActorConfig(
        strategy="fsdp",
        rollout_n=4,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio_low=LOW,
        clip_ratio_high=HIGH,
        policy_loss=PolicyLossConfig(loss_mode=name, clip_cov_ratio=0.1, clip_cov_lb=0.01, clip_cov_ub=9.0),
    )


def rows(seed: int, count: int) -> dict[str, Tensor]:
    """Responses of 0 to 9 tokens, whose ratios lie within and outside of the clip."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.arange(9) < torch.randint(0, 10, (count, 1), generator=generator)).float()
    old = -torch.rand(count, 9, generator=generator)
    shift = 0.5 * torch.randn(count, 1, generator=generator)
    return {
        "old": old * mask,
        "new": (old + shift + 0.3 * torch.randn(count, 9, generator=generator)) * mask,
        "advantage": torch.randint(-1, 2, (count, 1), generator=generator) * 1.25 * mask,
        "mask": mask,
    }


def called(name: str, batch: Mapping[str, Tensor], loss: clip.Loss | None = None) -> tuple[Tensor, Tensor, Any]:
    """Loss, gradient and what is logged."""
    new = batch["new"].clone().requires_grad_()
    torch.manual_seed(7)  # clip_cov draws from the global generator
    value, logged = (loss or get_policy_loss_fn(name))(
        old_log_prob=batch["old"],
        log_prob=new,
        advantages=batch["advantage"],
        response_mask=batch["mask"].bool(),
        loss_agg_mode="token-mean",
        config=configured(name),
    )
    value.backward()
    assert new.grad is not None
    return value.detach(), new.grad, logged


def expected(name: str, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """The three metrics, a token at a time."""
    ratio = (batch["new"] - batch["old"]).exp()
    low, high = 1 - LOW, 1 + HIGH
    if name == "bapo":
        low, high = clip_bounds(ratio, batch["advantage"], batch["mask"], low, high)
    tokens, held_back = 0, 0.0
    of_sign: dict[float, list[bool]] = {1.0: [], -1.0: []}
    for row in range(len(ratio)):
        length = int(batch["mask"][row].sum())
        changes = [float(batch["new"][row, token] - batch["old"][row, token]) for token in range(length)]
        for token in range(length):
            advantage = float(batch["advantage"][row, token])
            r = math.exp(sum(changes) / length if name == "gspo" else changes[token])
            bound = r > high if advantage > 0 else r < low and advantage < 0
            tokens += 1
            held_back += advantage * bound
            if advantage:
                of_sign[math.copysign(1, advantage)].append(bound)
    values = zip(NAMES, (of_sign[1.0], of_sign[-1.0]), strict=False)
    drift = {} if name == "gspo" else {metrics.CLIP_DRIFT.name: -held_back / tokens}
    return {**{key: sum(own) / len(own) for key, own in values if own}, **drift}


def reduced(name: str, updates: Sequence[Sequence[Sequence[Mapping[str, Tensor]]]]) -> dict[str, float]:
    """Micro-batches of ranks of updates through verl's own reductions (verl/workers/engine_workers.py)."""
    of_step: dict[str, Any] = {}
    for ranks in updates:
        found = []
        for micro_batches in ranks:
            of_rank: dict[str, Metric] = {}
            for batch in micro_batches:
                append_to_dict(of_rank, Metric.from_dict(called(name, batch)[2], aggregation=AggregationType.MEAN))
            found.append(of_rank)
        append_to_dict(of_step, {key: Metric.aggregate_dp([own[key] for own in found]) for key in found[0]})
    return dict(metric.reduce_metrics(rename_dict(of_step, "actor/")))


def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {field: torch.cat([part[field] for part in parts]) for field in FIELDS}


@pytest.mark.parametrize("name", COUNTED)
def test_loss_gradient_and_what_verl_logs_are_verls_bit_for_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = rows(0, 40)
    value, gradient, logged = called(name, batch)
    drawn = torch.rand(1)
    monkeypatch.setattr(clip, "vanilla", clip.vanilla.__wrapped__)  # type: ignore[attr-defined]
    verls = get_policy_loss_fn(name)
    theirs, their_gradient, their_logged = called(name, batch, getattr(verls, "__wrapped__", verls))
    assert torch.equal(value, theirs)
    assert torch.equal(gradient, their_gradient)
    assert torch.equal(drawn, torch.rand(1))
    assert their_logged.items() <= logged.items()
    assert gradient.abs().sum() > 0
    assert all(expected(name, batch)[key] > 0 for key in NAMES[:2])


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("seed", range(3))
def test_a_step_logs_the_mean_over_updates_of_all_their_tokens(name: str, seed: int) -> None:
    """Two updates of two and three micro-batches on each of two ranks, all of different sizes."""
    # BAPO chooses its bounds a micro-batch, so whole updates can only be compared where an update has one on one rank.
    shapes = (((5,),), ((9,),)) if name == "bapo" else (((3, 8), (6, 1)), ((1, 9, 4), (7, 2, 5)))
    updates = [
        [
            [rows(1000 * seed + 100 * number + 10 * rank + part, size) for part, size in enumerate(sizes)]
            for rank, sizes in enumerate(ranks)
        ]
        for number, ranks in enumerate(shapes)
    ]
    found = reduced(name, updates)
    of_updates = [
        expected(name, joined([part for micro_batches in ranks for part in micro_batches])) for ranks in updates
    ]
    for key in NAMES:
        own = [values[key] for values in of_updates if key in values]
        assert own or (key not in found and name == "gspo")
        assert not own or found[key] == pytest.approx(sum(own) / len(own), rel=1e-6, abs=1e-9), key
    assert not [key for key in found if "qae_clip" in key]
    assert metrics.CLIP_FRACTION.name in found


def test_the_ratio_is_clipped_where_verl_says_that_it_is() -> None:
    """Of one micro-batch verl's fraction over all tokens is ours over the signs."""
    for name in ("vanilla", "gspo"):
        batch = rows(4, 30)
        found = reduced(name, [[[batch]]])
        tokens = batch["mask"].sum()
        positive, negative = (float((sign * batch["advantage"] > 0).sum() / tokens) for sign in (1, -1))
        both = positive * found[NAMES[0]] + negative * found[NAMES[1]]
        assert found[metrics.CLIP_FRACTION.name] == pytest.approx(both, rel=1e-5)


def test_a_sign_without_a_token_and_a_batch_without_one_have_no_value() -> None:
    batch = rows(1, 12)
    up = {**batch, "advantage": batch["mask"]}
    found = reduced("vanilla", [[[up]], [[up]]])
    assert NAMES[0] in found
    assert NAMES[1] not in found
    nothing = {**batch, "advantage": 0 * batch["mask"], "mask": 0 * batch["mask"]}
    assert not reduced("vanilla", [[[nothing]]]).keys() & set(NAMES)


def test_one_batch_says_what_a_step_of_one_update_says() -> None:
    batch = rows(3, 20)
    assert clip.by_sign(called("gspo", batch)[2]) == pytest.approx(expected("gspo", batch), rel=1e-6)
    assert clip.by_sign(called("kl_cov", batch)[2]) == {}


def test_without_ranks_the_numbers_are_those_of_all_tokens_of_the_step() -> None:
    parts = [rows(seed, size) for seed, size in ((1, 3), (2, 11), (3, 6))]
    of_step: dict[str, Any] = {}
    for part in parts:
        append_to_dict(of_step, Metric.from_dict(called("vanilla", part)[2], aggregation=AggregationType.MEAN))
    found = metric.reduce_metrics(of_step)
    wanted = expected("vanilla", joined(parts))
    assert {key: found[key] for key in NAMES} == pytest.approx({key: wanted[key] for key in NAMES}, rel=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_other_losses_are_left_alone(name: str) -> None:
    assert not hasattr(get_policy_loss_fn(name), "__wrapped__")
    assert not reduced(name, [[[rows(1, 12)]]]).keys() & set(NAMES)


def test_every_trainer_of_verl_reduces_counts() -> None:
    assert trainer_base.reduce_metrics is ray_trainer.reduce_metrics is clip.reduce_metrics


def test_another_configuration_than_an_actors_logs_what_verl_logs() -> None:
    """Distillation takes verl's losses too, and renames what they log."""
    batch = rows(1, 12)

    _, logged = get_policy_loss_fn("vanilla")(
        batch["old"], batch["new"], batch["advantage"], batch["mask"], config=DistillationLossConfig(loss_mode="k1")
    )
    assert logged.keys() == {metrics.CLIP_FRACTION.name, metrics.CLIP_FRACTION_LOWER.name, metrics.PPO_KL.name}
