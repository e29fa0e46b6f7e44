"""Step diagnostics against a slow reading of their definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qae import metrics
from qae.advantage import group_advantages
from qae.config import AdvantageConfig
from qae.diagnostics import advantage_diagnostics, entropy_by_sign, token_sums


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    groups=st.lists(st.lists(st.sampled_from([0.0, 1.0, 0.5, -0.25]), min_size=1, max_size=12), min_size=1, max_size=6),
    k=st.sampled_from([-1.0, 0.2, 0.4, 0.8]),
    seed=st.integers(0, 1000),
)
def test_shares_are_their_definitions(groups: list[list[float]], k: float, seed: int) -> None:
    scores = torch.tensor([score for members in groups for score in members])
    labels = torch.tensor([10 - number for number, members in enumerate(groups) for _ in members])
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
    scores, labels = scores[order], labels[order]
    result = group_advantages(scores, labels, AdvantageConfig(quantile_k=k))
    found = advantage_diagnostics(scores, labels, result.baseline_B, result.advantage_B, k)
    advantage, centred = result.advantage_B.tolist(), (scores - result.baseline_B).tolist()
    count = len(advantage)
    route = k if 0 < k < 1 else 0.5
    hard = easy = many = 0
    for members in groups:
        ordered = sorted(members)
        b = next(x for x in ordered if sum(y <= x for y in ordered) / len(ordered) >= route - 1e-9)
        hard += b == ordered[0]
        easy += b == ordered[-1] != ordered[0]
        many += len(set(members)) > 2
    expected = {
        metrics.ZERO_FRACTION.name: sum(abs(a) < 1e-6 for a in advantage) / count,
        metrics.POSITIVE_FRACTION.name: sum(a >= 1e-6 for a in advantage) / count,
        metrics.NEGATIVE_FRACTION.name: sum(a <= -1e-6 for a in advantage) / count,
        metrics.BASELINE_MEAN.name: sum(result.baseline_B.tolist()) / count,
        metrics.CENTRED_ONE.name: sum(abs(r - 1) < 1e-6 for r in centred) / count,
        metrics.CENTRED_ZERO.name: sum(abs(r) < 1e-6 for r in centred) / count,
        metrics.CENTRED_MINUS_ONE.name: sum(abs(r + 1) < 1e-6 for r in centred) / count,
        metrics.CENTRED_OTHER.name: sum(min(abs(r - v) for v in (-1, 0, 1)) >= 1e-6 for r in centred) / count,
        metrics.HARD_GROUP_FRACTION.name: hard / len(groups),
        metrics.EASY_GROUP_FRACTION.name: easy / len(groups),
        metrics.MULTI_VALUED_GROUP_FRACTION.name: many / len(groups),
    }
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@settings(deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 30))
def test_policy_entropy_is_the_token_weighted_sum_over_signs(seed: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    advantage = torch.randn(rows, generator=generator) * (torch.rand(rows, generator=generator) < 0.5)
    entropy = torch.rand(rows, 9, generator=generator)
    mask = (torch.arange(9) < torch.randint(1, 10, (rows, 1), generator=generator)).float()
    found = entropy_by_sign(advantage, token_sums(entropy, mask), mask.sum(1))
    pairs = (
        (metrics.TOKEN_SHARE_POSITIVE, metrics.ENTROPY_POSITIVE),
        (metrics.TOKEN_SHARE_NEGATIVE, metrics.ENTROPY_NEGATIVE),
        (metrics.TOKEN_SHARE_ZERO, metrics.ENTROPY_ZERO),
    )
    assert sum(found[share.name] for share, _ in pairs) == pytest.approx(1)
    total = sum(found[share.name] * found.get(value.name, 0.0) for share, value in pairs)
    assert total == pytest.approx(float((entropy * mask).sum() / mask.sum()), rel=1e-5)
    for share, value in pairs:
        assert (value.name in found) == (found[share.name] > 0)


@pytest.mark.parametrize("hidden", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32])
def test_what_the_mask_hides_does_not_count(hidden: float, kind: torch.dtype) -> None:
    entropy = torch.tensor([[1.0, hidden], [2.0, 3.0], [hidden, hidden]])
    mask = torch.tensor([[1, 0], [1, 1], [0, 0]], dtype=kind)  # the last row is padding
    sums = token_sums(entropy, mask)
    assert sums.tolist() == [1.0, 5.0, 0.0]
    assert entropy_by_sign(torch.tensor([1.0, -1.0, 0.0]), sums, mask.sum(1)) == pytest.approx(
        {
            metrics.TOKEN_SHARE_POSITIVE.name: 1 / 3,
            metrics.ENTROPY_POSITIVE.name: 1.0,
            metrics.TOKEN_SHARE_NEGATIVE.name: 2 / 3,
            metrics.ENTROPY_NEGATIVE.name: 2.5,
            metrics.TOKEN_SHARE_ZERO.name: 0.0,
        }
    )


def test_nothing_is_defined_without_a_token_and_no_share_without_a_response() -> None:
    assert entropy_by_sign(torch.tensor([1.0, 0.0]), torch.zeros(2), torch.zeros(2)) == {}
    nothing = torch.tensor([])
    with pytest.raises(ValueError, match="empty"):
        advantage_diagnostics(nothing, nothing.long(), nothing, nothing, 0.4)


def test_every_name_is_known() -> None:
    scores, groups = torch.tensor([1.0, 0.0, 0.0]), torch.zeros(3, dtype=torch.int64)
    result = group_advantages(scores, groups, AdvantageConfig(quantile_k=0.4))
    found = advantage_diagnostics(scores, groups, result.baseline_B, result.advantage_B, 0.4)
    found |= entropy_by_sign(result.advantage_B, torch.full((3,), 2.0), torch.full((3,), 2))
    assert set(found) <= set(metrics.METRICS)
    for name in metrics.METRICS:
        assert not any(part in name.split("/")[-1].split("_") for part in ("max", "min", "sum", "total"))
