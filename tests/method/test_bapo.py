"""BAPO's clip bounds: they give way no further than they must, and no further than they may."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from qae.updates.bapo import HIGHEST_HIGH, HIGHEST_LOW, STEP, clip_bounds

START = (0.6, 1.2)


def batch(seed: int, spread: float) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ratio = (spread * torch.randn(20, 9, generator=generator)).exp()
    advantage = torch.randn(20, 1, generator=generator).expand(20, 9)
    mask = (torch.arange(9) < torch.randint(1, 10, (20, 1), generator=generator)).float()
    return ratio, advantage, mask


def weights(ratio: Tensor, advantage: Tensor, mask: Tensor, low: float, high: float) -> tuple[float, float]:
    """The definition, a token at a time."""
    up = down = 0.0
    for r, a, m in zip(ratio.flatten().tolist(), advantage.flatten().tolist(), mask.flatten().tolist(), strict=True):
        if m and a > 0:
            up += a * min(r, high)
        elif m:
            down -= a * max(r, low)
    return up, down


@pytest.mark.slow
@given(st.integers(0, 5000), st.floats(0.01, 1.5))
def test_bounds_stop_where_the_weights_are_balanced(seed: int, spread: float) -> None:
    given_batch = batch(seed, spread)
    low, high = clip_bounds(*given_batch, *START)
    assert START[0] <= low <= HIGHEST_LOW
    assert START[1] <= high <= HIGHEST_HIGH
    assert high == START[1] or low == HIGHEST_LOW  # the lower bound gives way first
    up, down = weights(*given_batch, low, high)
    assert up >= down - 1e-3 or (low, high) == (HIGHEST_LOW, HIGHEST_HIGH)
    if high > START[1]:
        up, down = weights(*given_batch, low, max(high - STEP, START[1]))
        assert up < down + 1e-3


def test_nothing_gives_way_where_right_responses_outweigh_the_wrong() -> None:
    ones = torch.ones(4, 3)
    assert clip_bounds(ones, ones, ones, *START) == START
    assert clip_bounds(ones, -ones, ones, *START) == (HIGHEST_LOW, HIGHEST_HIGH)
    assert clip_bounds(ones, -ones, torch.zeros(4, 3), *START) == START


def test_processes_that_share_an_update_agree_on_the_bounds() -> None:
    ratio, advantage, mask = torch.ones(2, 3), torch.tensor([[1.0], [-1.0]]).expand(2, 3), torch.ones(2, 3)
    elsewhere = torch.tensor([0.0, 5.0])
    assert clip_bounds(ratio, advantage, mask, *START) == START
    shared = clip_bounds(ratio, advantage, mask, *START, over_ranks=lambda sums: sums + elsewhere)
    assert shared == pytest.approx((HIGHEST_LOW, HIGHEST_HIGH))
