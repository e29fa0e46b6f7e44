"""Rollout batches: held-out problems, dynamic sampling, reward noise."""

import pytest
import torch

from qae.tiny.config import TinyConfig
from qae.tiny.rollout import Rollouts
from qae.tiny.task import ChainedArithmetic
from qae.tiny.transformer.model import Transformer
from tests.support.configs import TINY_QUICK, tiny_mapping

pytestmark = pytest.mark.slow


def setting(*overrides: str) -> tuple[TinyConfig, ChainedArithmetic, Transformer]:
    config = TinyConfig.from_mapping(tiny_mapping(*TINY_QUICK, *overrides))
    arithmetic = ChainedArithmetic(config.tiny.task)
    torch.manual_seed(0)
    length = arithmetic.prompt_length + config.data.max_response_length
    return config, arithmetic, Transformer(len(arithmetic.vocabulary), length, config.tiny.model)


def test_evaluation_problems_never_occur_in_training() -> None:
    """The task is so small here that they would: 48 problems with one operation, 6 of them held out."""
    config, arithmetic, model = setting("data.reward_noise.random=0.5")
    held_out = {key for p in arithmetic.evaluation_sets().values() for key in p.fingerprints()}
    rollouts = Rollouts(config, arithmetic)
    seen = set()
    for step in range(1, 40):
        seen |= {row.tobytes() for row in rollouts.batch(model, step).inputs_B.numpy()}
    assert len(seen) > 60
    assert not seen & held_out


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dynamic_sampling_keeps_groups_with_mixed_rewards_only(rate: float) -> None:
    config, arithmetic, model = setting(f"data.reward_noise.random={rate}")
    batch = Rollouts(config, arithmetic).batch(model, 1)
    scores = batch.score_B.view(-1, config.rollout.n)
    assert ((scores.sum(1) > 0) & (scores.sum(1) < config.rollout.n)).all()
    assert len(scores) <= config.data.train_batch_size
    assert batch.generated_groups >= batch.kept_groups >= len(scores)
    assert torch.equal(batch.group_B, torch.arange(len(scores)).repeat_interleave(config.rollout.n))
    prompts = batch.inputs_B.view(len(scores), config.rollout.n, -1)
    assert (prompts == prompts[:, :1]).all()


def test_without_dynamic_sampling_every_group_is_kept() -> None:
    config, arithmetic, model = setting("algorithm.filter_groups.enable=false")
    batch = Rollouts(config, arithmetic).batch(model, 1)
    assert len(batch.score_B) == config.data.train_batch_size * config.rollout.n
    assert batch.generated_groups == config.data.train_batch_size


def test_a_step_goes_on_with_fewer_groups_when_few_are_mixed() -> None:
    config, arithmetic, model = setting(
        "data.reward_noise.random=0.01", "algorithm.filter_groups.max_num_gen_batches=2"
    )
    batch = Rollouts(config, arithmetic).batch(model, 1)
    assert 0 < len(batch.score_B) < config.data.train_batch_size * config.rollout.n
    assert batch.generated_groups == 2 * config.data.gen_batch_size


def test_nothing_to_learn_from_is_an_error_that_says_so() -> None:
    config, arithmetic, model = setting("data.reward_noise.random=1")
    with pytest.raises(RuntimeError, match=r"step 1: none of \d+ groups .* nothing to learn from"):
        Rollouts(config, arithmetic).batch(model, 1)


def test_flipped_rewards_are_the_complement() -> None:
    plain_config, arithmetic, model = setting("algorithm.filter_groups.enable=false")
    flipped_config, _, _ = setting("algorithm.filter_groups.enable=false", "data.reward_noise.flip=1")
    plain = Rollouts(plain_config, arithmetic).batch(model, 1)
    flipped = Rollouts(flipped_config, arithmetic).batch(model, 1)
    assert torch.equal(plain.responses.ids_B_T, flipped.responses.ids_B_T)
    assert torch.equal(flipped.score_B, 1 - plain.score_B)
