"""The token-weighted mean: balanced tokens, the mean where lengths are equal, and verl's OPO without the scale."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qae.advantage import group_advantages, outcome_advantages
from qae.config import AdvantageConfig, AdvantageRule, QuantileOn

TOKEN_MEAN = AdvantageConfig(rule=AdvantageRule.TOKEN_MEAN)
UNSCALED = AdvantageConfig(rule=AdvantageRule.TOKEN_MEAN, norm_by_std=False)
OTHERS = [AdvantageConfig(quantile_k=0.4, rule=rule) for rule in AdvantageRule if rule is not AdvantageRule.TOKEN_MEAN]

Batch = tuple[Tensor, Tensor, Tensor]


def batches(
    *, two_valued: bool = False, smallest: int = 1, dtype: torch.dtype | None = None
) -> st.SearchStrategy[Batch]:
    """Scores, groups of any size in any order, and lengths from 0 on."""
    value = st.sampled_from([0.0, 1.0]) if two_valued else st.floats(-100, 100, width=32)
    response = st.tuples(value, st.integers(0, 20_480))
    groups = st.lists(st.lists(response, min_size=smallest, max_size=20), min_size=1, max_size=5)
    kinds = st.sampled_from([torch.float32, torch.float64]) if dtype is None else st.just(dtype)

    def assemble(found: list[list[tuple[float, int]]], seed: int, kind: torch.dtype) -> Batch:
        scores = torch.tensor([score for members in found for score, _ in members], dtype=kind)
        labels = torch.tensor([5 * number - 2 for number, members in enumerate(found) for _ in members])
        tokens = torch.tensor([length for members in found for _, length in members])
        order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
        return scores[order], labels[order], tokens[order]

    return st.builds(assemble, groups, st.integers(0, 2**31), kinds)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(batch=batches(), by_std=st.booleans())
def test_it_is_the_formula_computed_one_response_after_the_other(batch: Batch, *, by_std: bool) -> None:
    scores, groups, tokens = batch
    config = AdvantageConfig(rule=AdvantageRule.TOKEN_MEAN, norm_by_std=by_std)
    result = group_advantages(scores, groups, config, tokens_B=tokens)
    rough = 1e-5 if scores.dtype is torch.float32 else 1e-12
    for row in range(len(scores)):
        members = [other for other in range(len(scores)) if groups[other] == groups[row]]
        rewards, lengths = [float(scores[m]) for m in members], [int(tokens[m]) for m in members]
        if len(members) == 1:
            b, deviation = 0.0, 1.0
        else:
            even = sum(lengths) == 0
            weights = [1] * len(members) if even else lengths
            b = sum(w * r for w, r in zip(weights, rewards, strict=True)) / sum(weights)
            mean = sum(rewards) / len(rewards)
            deviation = (sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1)) ** 0.5
        assert float(result.baseline_B[row]) == pytest.approx(b, rel=rough, abs=100 * rough)
        if not by_std or deviation > 1:
            expected = (float(scores[row]) - b) / (deviation + 1e-6 if by_std else 1)
            assert float(result.advantage_B[row]) == pytest.approx(expected, rel=10 * rough, abs=100 * rough)
    assert result.kept_B.all()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(batch=batches(smallest=2, dtype=torch.float64), by_std=st.booleans())
def test_the_tokens_of_a_group_are_balanced(batch: Batch, *, by_std: bool) -> None:
    scores, groups, tokens = batch
    config = AdvantageConfig(rule=AdvantageRule.TOKEN_MEAN, norm_by_std=by_std)
    result = group_advantages(scores, groups, config, tokens_B=tokens)
    for label in torch.unique(groups):
        own = groups == label
        centred = tokens[own] * (scores[own] - result.baseline_B[own])
        assert abs(float(centred.sum())) <= 1e-12 * float((tokens[own] * scores[own].abs()).sum()) + 1e-9
        if not by_std or scores[own].std() > 1:
            assert float((tokens[own] * result.advantage_B[own]).sum()) == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(batch=batches(), length=st.sampled_from([0, 1, 3, 7, 20_480]), by_std=st.booleans())
def test_equal_lengths_are_the_mean_bit_for_bit(batch: Batch, length: int, *, by_std: bool) -> None:
    scores, groups, _ = batch
    config = AdvantageConfig(rule=AdvantageRule.TOKEN_MEAN, norm_by_std=by_std)
    tokens = torch.full((len(scores),), length) + groups  # equal within each group
    found = group_advantages(scores, groups, config, tokens_B=tokens - tokens.min())
    mean = group_advantages(scores, groups, AdvantageConfig(norm_by_std=by_std))
    assert torch.equal(found.baseline_B, mean.baseline_B)
    assert torch.equal(found.advantage_B, mean.advantage_B)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(batch=batches(two_valued=True), seed=st.integers(0, 2**31))
def test_neither_the_order_nor_the_labels_matter(batch: Batch, seed: int) -> None:
    scores, groups, tokens = batch
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
    straight = group_advantages(scores, groups, TOKEN_MEAN, tokens_B=tokens)
    shuffled = group_advantages(scores[order], 1000 - 3 * groups[order], TOKEN_MEAN, tokens_B=tokens[order])
    assert torch.equal(shuffled.baseline_B, straight.baseline_B[order])
    torch.testing.assert_close(shuffled.advantage_B, straight.advantage_B[order], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(batch=batches(), factor=st.sampled_from([2, 10, 128]))
def test_only_the_ratio_of_lengths_counts(batch: Batch, factor: int) -> None:
    scores, groups, tokens = batch
    one = group_advantages(scores, groups, UNSCALED, tokens_B=tokens).baseline_B
    longer = group_advantages(scores, groups, UNSCALED, tokens_B=factor * tokens).baseline_B
    torch.testing.assert_close(longer, one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("score", [0.0, 1.0, -1.0, 0.1, 1 / 3])
def test_equal_rewards_have_advantage_0_whatever_the_lengths(score: float, dtype: torch.dtype) -> None:
    """Sums of products round, in double too; over 300 draws of lengths some do."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 20_480, (300, 16), generator=generator).flatten()
    scores, groups = torch.full((4800,), score, dtype=dtype), torch.arange(300).repeat_interleave(16)
    result = group_advantages(scores, groups, TOKEN_MEAN, tokens_B=tokens)
    assert (result.advantage_B == 0).all()


def test_longer_failures_lower_the_baseline_and_a_silent_response_does_not_move_it() -> None:
    scores = torch.tensor([1.0, 1.0, 0.0, 0.0])
    groups = torch.zeros(4, dtype=torch.int64)
    longer = group_advantages(scores, groups, UNSCALED, tokens_B=torch.tensor([10, 10, 30, 30]))
    assert longer.baseline_B.tolist() == [0.25] * 4
    silent = group_advantages(scores, groups, UNSCALED, tokens_B=torch.tensor([10, 0, 30, 0]))
    assert silent.baseline_B.tolist() == [0.25] * 4
    assert silent.advantage_B.tolist() == [0.75, 0.75, -0.25, -0.25]
    alone = group_advantages(torch.tensor([0.75]), torch.tensor([9]), UNSCALED, tokens_B=torch.tensor([12]))
    assert (alone.baseline_B.item(), alone.advantage_B.item()) == (0.0, 0.75)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (None, "advantage=token_mean .* give tokens_B"),
        (torch.tensor([1, 2, 3]), r"2 scores but token counts of shape \(3,\)"),
        (torch.tensor([[1], [2]]), r"2 scores but token counts of shape \(2, 1\)"),
        (torch.tensor([3, -1]), "response 1 has -1.0 tokens"),
        (torch.tensor([float("nan"), 1.0]), "response 0 has nan tokens"),
    ],
)
def test_unusable_token_counts_are_refused(tokens: Tensor | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        group_advantages(torch.tensor([1.0, 0.0]), torch.tensor([0, 0]), TOKEN_MEAN, tokens_B=tokens)


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: config.rule.value)
def test_the_other_rules_do_not_look_at_token_counts(config: AdvantageConfig) -> None:
    scores, groups = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0]), torch.tensor([0, 0, 0, 1, 1])
    without = group_advantages(scores, groups, config)
    with_counts = group_advantages(scores, groups, config, tokens_B=torch.tensor([-5, 9]))
    assert torch.equal(with_counts.advantage_B, without.advantage_B)


def test_k_and_what_the_quantile_is_on_change_nothing() -> None:
    scores, groups, tokens = torch.tensor([1.0, -1.0, -1.5]), torch.zeros(3, dtype=torch.int64), torch.tensor([2, 3, 9])
    with_k = AdvantageConfig(quantile_k=0.4, rule=AdvantageRule.TOKEN_MEAN, quantile_on=QuantileOn.ACCURACY)
    found = group_advantages(scores, groups, with_k, torch.tensor([1.0, -1.0, -1.0]), tokens)
    assert torch.equal(found.advantage_B, group_advantages(scores, groups, TOKEN_MEAN, tokens_B=tokens).advantage_B)


def ragged(seed: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Rewards (B, T), a ragged mask with a padding row of its own group, uids of groups of unequal size."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [16, 5, 2, 8, 1]
    uids = np.array([f"p{number}" for number, size in enumerate(sizes) for _ in range(size)], dtype=object)
    length_B = torch.randint(1, 40, (sum(sizes),), generator=generator)
    length_B[-1] = 0
    mask_B_T = (torch.arange(40) < length_B[:, None]).long()
    score_B = 2.0 * torch.randint(0, 2, (sum(sizes),), generator=generator) - 1 - 0.01 * length_B
    rewards_B_T = torch.zeros(sum(sizes), 40)
    rewards_B_T[:, 0] = score_B
    order = torch.randperm(sum(sizes), generator=generator)
    return rewards_B_T[order], mask_B_T[order], uids[order.numpy()]


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32])
def test_lengths_come_from_the_mask(kind: torch.dtype) -> None:
    rewards_B_T, mask_B_T, uids = ragged(0)
    advantage_B_T, _ = outcome_advantages(rewards_B_T, mask_B_T.to(kind), uids, UNSCALED)
    for uid in set(uids.tolist()) - {"p4"}:
        own = torch.from_numpy(uids == uid)
        assert float(advantage_B_T[own].sum()) == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_without_the_scale_it_is_verls_opo(seed: int) -> None:
    from verl.trainer.ppo.core_algos import compute_opo_outcome_advantage

    rewards_B_T, mask_B_T, uids = ragged(seed)
    theirs, _ = compute_opo_outcome_advantage(rewards_B_T.clone(), mask_B_T, uids)
    ours, _ = outcome_advantages(rewards_B_T, mask_B_T, uids, UNSCALED)
    torch.testing.assert_close(ours, theirs)
