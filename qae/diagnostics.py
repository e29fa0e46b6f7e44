"""What a step's advantages look like: sign shares, group difficulty, centred rewards; entropy and tokens by sign.

Every function returns values under the names of `qae.metrics`; what is undefined (the mean of an empty class) is
absent. Means over tokens pass over padding rows (mask all 0) by themselves; `advantage_diagnostics` and
`lengths_by_correctness` count every response that they are given, so the caller leaves padding rows out.
"""

import torch
from torch import Tensor

from qae import metrics
from qae.advantage import quantile
from qae.config import QuantileDefinition

ZERO_TOLERANCE = 1e-6


def advantage_diagnostics(
    scores_B: Tensor,
    group_B: Tensor,
    baseline_B: Tensor,
    advantage_B: Tensor,
    quantile_k: float,
    span: float = 1.0,
) -> dict[str, float]:
    """Shares over the responses and groups of a batch.

    Args:
        scores_B: float (B,).
        group_B: group labels, int64 (B,).
        baseline_B: as `qae.advantage.group_advantages` returns it, float (B,).
        advantage_B: float (B,).
        quantile_k: routes groups into hard and easy; outside (0, 1) it counts as 0.5.
        span: score of a right response minus that of a wrong one, before shaping; 2 for verl's +1 and -1. Centred
            rewards count in units of it.

    Returns:
        sign shares, mean baseline, hard, easy and multi-valued groups, centred-reward shares.

    Raises:
        ValueError: an empty batch.
    """
    if len(scores_B) == 0:
        raise ValueError("the batch is empty: no response to take shares of")
    positive_B, negative_B, zero_B = signs(advantage_B)
    centred_B = (scores_B - baseline_B) / span
    one_B, none_B, minus_B = ((centred_B - value).abs() < ZERO_TOLERANCE for value in (1.0, 0.0, -1.0))
    return {
        metrics.ZERO_FRACTION.name: _share(zero_B),
        metrics.POSITIVE_FRACTION.name: _share(positive_B),
        metrics.NEGATIVE_FRACTION.name: _share(negative_B),
        metrics.BASELINE_MEAN.name: float(baseline_B.mean()),
        metrics.CENTRED_ONE.name: _share(one_B),
        metrics.CENTRED_ZERO.name: _share(none_B),
        metrics.CENTRED_MINUS_ONE.name: _share(minus_B),
        metrics.CENTRED_OTHER.name: _share(~(one_B | none_B | minus_B)),
        **_group_shares(scores_B, group_B, quantile_k if 0 < quantile_k < 1 else 0.5),
    }


def token_sums(values_B_T: Tensor, mask_B_T: Tensor) -> Tensor:
    """The sum over each response's tokens, (B,).

    Args:
        values_B_T: float (B, T); ignored where the mask is 0, NaN included.
        mask_B_T: 1 for response tokens, else 0, (B, T).
    """
    # Not a product: padding may hold NaN or infinities, and 0 times these is NaN.
    return values_B_T.masked_fill(mask_B_T == 0, 0.0).sum(1)


def entropy_by_sign(advantage_B: Tensor, entropy_B: Tensor, tokens_B: Tensor) -> dict[str, float]:
    """Token-mean entropy of the responses of each advantage sign, with the class's share of tokens.

    The policy entropy is the sum of share times entropy over the three classes.

    Args:
        advantage_B: float (B,).
        entropy_B: entropy of each response's tokens, nats, summed, float (B,); see `token_sums`.
        tokens_B: response tokens, (B,).

    Returns:
        the share of each class, and the entropy of those that have a token; empty without any token.
    """
    result: dict[str, float] = {}
    if not tokens_B.any():
        return result
    classes = zip(
        signs(advantage_B),
        (metrics.ENTROPY_POSITIVE, metrics.ENTROPY_NEGATIVE, metrics.ENTROPY_ZERO),
        (metrics.TOKEN_SHARE_POSITIVE, metrics.TOKEN_SHARE_NEGATIVE, metrics.TOKEN_SHARE_ZERO),
        strict=True,
    )
    for member_B, entropy, share in classes:
        tokens = float(tokens_B[member_B].sum())
        result[share.name] = tokens / float(tokens_B.sum())
        if tokens > 0:
            result[entropy.name] = float(entropy_B[member_B].sum()) / tokens
    return result


def advantage_token_mean(advantage_B: Tensor, tokens_B: Tensor) -> dict[str, float]:
    """Mean advantage over response tokens: what a token-mean loss pushes up, less what it pushes down.

    Args:
        advantage_B: float (B,).
        tokens_B: response tokens, (B,).

    Returns:
        the mean; empty without any token.
    """
    weight_B = tokens_B.double()
    if not weight_B.any():
        return {}
    return {metrics.ADVANTAGE_TOKEN_MEAN.name: float((weight_B * advantage_B).sum() / weight_B.sum())}


def lengths_by_correctness(tokens_B: Tensor, right_B: Tensor) -> dict[str, float]:
    """Mean length of right and of wrong responses.

    Args:
        tokens_B: response tokens, (B,).
        right_B: whether the response is right, bool (B,).

    Returns:
        the mean of each class that has a response.
    """
    classes = ((metrics.LENGTH_RIGHT, right_B), (metrics.LENGTH_WRONG, ~right_B))
    return {metric.name: float(tokens_B[member_B].double().mean()) for metric, member_B in classes if member_B.any()}


def signs(advantage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where advantages are positive, negative and zero, bool in the shape of the advantages."""
    return advantage >= ZERO_TOLERANCE, advantage <= -ZERO_TOLERANCE, advantage.abs() < ZERO_TOLERANCE


def _share(member: Tensor) -> float:
    return float(member.sum()) / member.numel()


def _group_shares(scores_B: Tensor, group_B: Tensor, k: float) -> dict[str, float]:
    # Sorted by score and then, stably, by group: each group's scores lie in order.
    by_score = scores_B.argsort(stable=True)
    order = by_score[group_B[by_score].argsort(stable=True)]
    ordered_B = scores_B[order]
    _, size_P = torch.unique_consecutive(group_B[order], return_counts=True)
    end_P = size_P.cumsum(0)
    low_P, high_P = ordered_B[end_P - size_P], ordered_B[end_P - 1]
    quantile_P = torch.empty_like(low_P)
    for size in torch.unique(size_P).tolist():
        rows_P_G = (end_P[size_P == size, None] - size) + torch.arange(size, device=end_P.device)
        quantile_P[size_P == size] = quantile(ordered_B[rows_P_G], k, QuantileDefinition.INVERSE_CDF)[:, 0]
    inner = torch.zeros_like(ordered_B, dtype=torch.bool)
    inner[1:] = ordered_B[1:] != ordered_B[:-1]
    inner[end_P - size_P] = True
    distinct_P = torch.zeros_like(size_P).index_add_(
        0, torch.arange(len(size_P), device=size_P.device).repeat_interleave(size_P), inner.long()
    )
    hard_P = quantile_P == low_P
    return {
        metrics.HARD_GROUP_FRACTION.name: _share(hard_P),
        metrics.EASY_GROUP_FRACTION.name: _share(~hard_P & (quantile_P == high_P)),
        metrics.MULTI_VALUED_GROUP_FRACTION.name: _share(distinct_P > 2),
    }
