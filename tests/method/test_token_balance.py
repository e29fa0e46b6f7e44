"""Metrics of what a token-mean loss weighs: advantages over tokens, lengths by correctness, clips by sign."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qae import metrics
from qae.advantage import group_advantages
from qae.config import AdvantageConfig, AdvantageRule
from qae.diagnostics import advantage_token_mean, lengths_by_correctness
from qae.updates.clip import clip_counts

TOKEN_MEAN = AdvantageConfig(rule=AdvantageRule.TOKEN_MEAN)
GROUPS, SIZE = 12, 16


def of_longer_failures(extra: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, groups and lengths of mixed groups whose wrong responses have `extra` tokens more."""
    generator = torch.Generator().manual_seed(seed)
    score_B = (torch.rand(GROUPS, SIZE, generator=generator) < 0.4).float()
    score_B[:, 0], score_B[:, 1] = 1.0, 0.0  # as dynamic sampling leaves them
    length_B = torch.randint(5, 30, (GROUPS, SIZE), generator=generator) + extra * (score_B == 0)
    return score_B.flatten(), torch.arange(GROUPS).repeat_interleave(SIZE), length_B.flatten()


@pytest.mark.parametrize("seed", range(5))
def test_longer_failures_make_the_mean_net_negative_and_the_token_weighted_mean_balances_them(seed: int) -> None:
    scores, groups, tokens = of_longer_failures(20, seed)
    name = metrics.ADVANTAGE_TOKEN_MEAN.name
    mean = group_advantages(scores, groups, AdvantageConfig()).advantage_B
    assert advantage_token_mean(mean, tokens)[name] < -0.05
    shorter = torch.where(scores == 1, tokens + 40, tokens)
    assert advantage_token_mean(mean, shorter)[name] > 0.05
    balanced = group_advantages(scores, groups, TOKEN_MEAN, tokens_B=tokens).advantage_B
    assert advantage_token_mean(balanced, tokens)[name] == pytest.approx(0, abs=1e-6)
    found = lengths_by_correctness(tokens, scores > 0)
    assert found[metrics.LENGTH_WRONG.name] > found[metrics.LENGTH_RIGHT.name] + 10


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    responses=st.lists(
        st.tuples(st.sampled_from([-2.0, -0.5, 0.0, 1.25, 3.0]), st.integers(0, 9), st.booleans()), max_size=30
    ),
    kind=st.sampled_from([torch.int64, torch.float32]),
)
def test_token_mean_and_lengths_are_their_definitions(
    responses: list[tuple[float, int, bool]], kind: torch.dtype
) -> None:
    advantage = torch.tensor([a for a, _, _ in responses])
    tokens = torch.tensor([length for _, length, _ in responses], dtype=kind)
    right = torch.tensor([is_right for _, _, is_right in responses], dtype=torch.bool)
    each = [a for a, length, _ in responses for _ in range(length)]
    expected = {metrics.ADVANTAGE_TOKEN_MEAN.name: sum(each) / len(each)} if each else {}
    assert advantage_token_mean(advantage, tokens) == pytest.approx(expected)
    lengths = {}
    for metric, wanted in ((metrics.LENGTH_RIGHT, True), (metrics.LENGTH_WRONG, False)):
        own = [length for _, length, is_right in responses if is_right is wanted]
        if own:
            lengths[metric.name] = sum(own) / len(own)
    assert lengths_by_correctness(tokens, right) == pytest.approx(lengths)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 12), kind=st.sampled_from([torch.bool, torch.float32]))
def test_clips_by_sign_are_shares_of_the_tokens_of_each_sign(seed: int, rows: int, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    advantage = torch.randint(-1, 2, (rows, 1), generator=generator).float().expand(-1, 7)
    clipped = torch.rand(rows, 7, generator=generator) < 0.3
    mask = (torch.arange(7) < torch.randint(0, 8, (rows, 1), generator=generator)).to(kind)
    counts = {1.0: [0, 0], -1.0: [0, 0], 0.0: [0, 0]}
    for row in range(rows):
        for token in range(7):
            if mask[row, token]:
                counts[float(advantage[row, token])][0] += int(clipped[row, token])
                counts[float(advantage[row, token])][1] += 1
    signs = ((metrics.CLIP_FRACTION_POSITIVE, 1.0), (metrics.CLIP_FRACTION_NEGATIVE, -1.0))
    expected = {metric.name: counts[sign][0] / counts[sign][1] for metric, sign in signs if counts[sign][1]}
    if mask.any():
        expected[metrics.CLIP_DRIFT.name] = (counts[-1.0][0] - counts[1.0][0]) / float(mask.sum())
    assert clip_counts(clipped, advantage, mask).by_sign() == pytest.approx(expected)
