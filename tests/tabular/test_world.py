"""The world: its start has the probabilities that its properties say, and its responses look as they say."""

import numpy as np
import pytest
import torch

from qae.embedded.batch import Batch
from qae.tabular.config import TabularConfig
from qae.tabular.policy import TabularPolicy
from qae.tabular.table import Table
from qae.tabular.world import Drawn, TabularWorld
from qae.tokens.marker_words import MARKER_WORDS
from tests.tabular.worlds import small

BETAS = (0.9, 0.999)


def drawn(
    config: TabularConfig, *, prompts: int = 200, n: int = 16, temperature: float = 1.0
) -> tuple[TabularWorld, Drawn]:
    world = TabularWorld(config.tabular)
    generator = torch.Generator().manual_seed(0)
    asked = world.prompts(prompts, generator)
    style, facts = Table(world.style_start(), BETAS), Table(world.fact_start(), BETAS)
    return world, world.draw(style, facts, asked, n, temperature, generator)


def test_the_start_knows_facts_as_reliably_as_beta_says_and_has_a_favourite_mistake() -> None:
    config = small("tabular.facts=20000", "tabular.choices=7")
    policy = torch.softmax(TabularWorld(config.tabular).fact_start().double(), -1).numpy()
    right, mistake, other = policy[:, 0], policy[:, 1], policy[:, 2]
    np.testing.assert_allclose(policy.sum(1), 1)
    # Beta(1.2, .8) has mean .6; the right answer also gets its part of what is spread evenly.
    reliability = (right - other).mean()
    assert reliability == pytest.approx(0.6, abs=0.01)
    np.testing.assert_allclose(mistake - other, 0.6 * (1 - (right - other)), rtol=1e-4)


def test_style_tokens_follow_zipf() -> None:
    config = small("tabular.zipf_exponent=2")
    policy = torch.softmax(TabularWorld(config.tabular).style_start(), -1)
    assert len(policy) == config.tabular.style_contexts
    np.testing.assert_allclose(policy[0] / policy[0, 0], 1 / np.arange(1, 13) ** 2, rtol=1e-4)


def test_draws_follow_the_policy_at_the_temperature() -> None:
    config = small("tabular.facts=3", "tabular.style_contexts=2")
    for temperature in (0.5, 1.0):
        world, responses = drawn(config, prompts=2000, temperature=temperature)
        style = torch.softmax(world.style_start()[0] / temperature, -1)
        facts = torch.softmax(world.fact_start() / temperature, -1)
        ids, rows = responses.ids_B_T, responses.row_B_T
        for context in range(2):
            taken = ids[rows == context]
            share = torch.bincount(taken, minlength=12)[:12] / len(taken)
            assert torch.allclose(share, style, atol=0.01)
        for fact in range(3):
            taken = ids[rows == 2 + fact] - 12
            assert torch.allclose(torch.bincount(taken, minlength=4) / len(taken), facts[fact], atol=0.02)


def test_a_response_is_right_where_all_of_its_facts_are_and_wrong_ones_are_longer() -> None:
    world, responses = drawn(small("tabular.failure_tokens=3"))
    facts = responses.ids_B_T[:, world.layout.fact] - 12
    assert torch.equal(responses.right_B, (facts == 0).all(1))
    lengths = world.mask(responses.right_B).sum(1)
    assert set(lengths[responses.right_B].tolist()) == {6.0}
    assert set(lengths[~responses.right_B].tolist()) == {9.0}


def test_tail_tokens_spoil_the_fact_after_them() -> None:
    config = small("tabular.disturbance=0.5", "tabular.zipf_exponent=0")
    world, responses = drawn(config, prompts=4000)
    known = (responses.ids_B_T[:, world.layout.fact] == 12).all(1)
    before = responses.ids_B_T[:, world.layout.style][:, :4]
    tail = (before >= 5).sum(1)
    assert not responses.right_B[~known].any()
    for count in range(5):
        chosen = known & (tail == count)
        assert float(responses.right_B[chosen].float().mean()) == pytest.approx(0.5**count, abs=0.05)


def test_every_rank_has_a_word_and_marker_words_stand_in_the_tail() -> None:
    world = TabularWorld(small("tabular.vocabulary=64", "tabular.tail=8").tabular)
    assert len(world.tokens) == 64 + 4
    assert len(set(world.tokens)) == len(world.tokens)
    assert set(world.markers.values()) == MARKER_WORDS
    assert min(world.markers) >= 8


def batch(*overrides: str) -> tuple[TabularConfig, Batch]:
    config = small(*overrides)
    return config, TabularPolicy(config).batch(1)


def test_dynamic_sampling_keeps_groups_with_right_and_wrong_responses() -> None:
    config, found = batch()
    scores = found.score_B.view(-1, config.rollout.n)
    assert ((scores.sum(1) > 0) & (scores.sum(1) < config.rollout.n)).all()
    assert found.generated_groups >= found.kept_groups >= len(scores)


def test_log_probabilities_and_entropies_are_those_of_the_rows() -> None:
    config, found = batch()
    world = TabularWorld(config.tabular)
    style, facts = (torch.log_softmax(start.double(), -1) for start in (world.style_start(), world.fact_start()))
    contexts, vocabulary = config.tabular.style_contexts, config.tabular.vocabulary
    for row, token, log_prob, entropy, counts in zip(
        *(
            values.flatten().tolist()
            for values in (
                found.inputs_B,
                found.responses.ids_B_T,
                found.responses.log_prob_B_T,
                found.responses.entropy_B_T,
                found.responses.mask_B_T,
            )
        ),
        strict=True,
    ):
        policy = style[row] if row < contexts else facts[row - contexts]
        assert log_prob == pytest.approx(float(policy[token if row < contexts else token - vocabulary]), abs=1e-5)
        assert entropy == pytest.approx(float(-(policy.exp() * policy).sum()) * counts, abs=1e-5)


def test_where_rewards_are_coins_responses_go_on_after_a_no() -> None:
    _, found = batch("data.reward_noise.random=0.5")
    lengths = found.responses.mask_B_T.sum(1)
    assert torch.equal(lengths, torch.where(found.score_B > 0, 6.0, 9.0))


def test_the_evaluation_has_the_pass_rate_of_the_policy() -> None:
    config = small("tabular.evaluation_problems=400", "actor_rollout_ref.rollout.val_kwargs.n=64")
    policy = TabularPolicy(config)
    results = policy.evaluate(0)
    world = TabularWorld(config.tabular)
    right = torch.softmax(world.fact_start(), -1)[:, 0]
    expected = right[world.held_out_P_O].prod(1)
    found = torch.tensor([result.c / result.n for result in results])
    assert float((found - expected).abs().mean()) < 0.06
    assert float(found.mean()) == pytest.approx(float(expected.mean()), abs=0.02)
    for result in results:
        assert result.mean_length == pytest.approx(9 - 3 * result.c / result.n)
