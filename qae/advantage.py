"""Baselines and advantages of grouped scores: the means, the K-quantile, the median and the masks.

All rules share one path: rows are put in order of group, groups of equal size become the rows of a matrix, and
each rule is a function of that matrix. No rule loops over groups.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qae.config import AdvantageConfig, AdvantageRule, QuantileDefinition

EPSILON = 1e-6
# K * G as a float can lie a rounding error above the integer that it is in real numbers (paper.md 1.1's ties).
_TIE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class GroupAdvantages:
    """What a rule makes of a batch, in the batch's own order.

    Attributes:
        baseline_B: the baseline b of each response's group, float (B,), in units of the score. For the masks
            it is the quantile that routes the group; for positive-only the group's lowest score and for
            negative-only its highest, the limits of the quantile for K -> 0 and K -> 1.
        advantage_B: float (B,); the dropped pivot of the median rule has advantage 0.
        kept_B: bool (B,); False for responses that the rule takes out of the update altogether, token-mean
            denominator included (the median's pivots).
    """

    baseline_B: Tensor
    advantage_B: Tensor
    kept_B: Tensor


def group_advantages(
    scores_B: Tensor,
    group_B: Tensor,
    config: AdvantageConfig,
    unshaped_B: Tensor | None = None,
    tokens_B: Tensor | None = None,
) -> GroupAdvantages:
    """Advantages of a batch of responses.

    The quantile rule is eq. 3 of the paper; with K outside (0, 1) it is GRPO's mean, equal bit for bit to verl
    0.9.1 `core_algos.compute_grpo_outcome_advantage` on a CPU. As there, the standard deviation is
    Bessel-corrected, 1e-6 is added to it, and a group of one response has standard deviation 1 and, under the
    means, the quantile and the median, baseline 0. Under the other rules, which compare a response with its
    group, a group of one or of equal scores has advantage 0.

    Args:
        scores_B: one score a response, float32 or float64 (B,). Two-valued or not.
        group_B: which group (prompt) the response belongs to, int64 (B,); any labels, any order, groups of any
            size.
        config: the rule, K, the definition of the quantile, whether to divide by the standard deviation.
        unshaped_B: scores before a length penalty, float (B,): the quantile is taken of them in groups where they
            and the scores vary (``algorithm.quantile_on=accuracy``), and of the scores elsewhere. Mean and the
            other rules do not use it.
        tokens_B: tokens of each response, integers or floats from 0 on (B,). The token-weighted mean needs them; the
            other rules do not look at them.

    Returns:
        baselines and advantages in the order of the batch.

    Raises:
        ValueError: an empty batch, lengths that differ, scores that are not floats or not finite, labels that
            are not integers, the token-weighted mean without token counts or with negative ones; says which and where.
    """
    _check(scores_B, group_B)
    weight_B = None
    if config.rule is AdvantageRule.TOKEN_MEAN and tokens_B is not None:
        weight_B = _weights(tokens_B, scores_B)
    baseline_B, advantage_B = torch.empty_like(scores_B), torch.empty_like(scores_B)
    kept_B = torch.ones(len(scores_B), dtype=torch.bool, device=scores_B.device)
    for rows_P_G in _groups_by_size(group_B):
        rows = rows_P_G.flatten()
        scores_P_G = scores_B.index_select(0, rows).view_as(rows_P_G)
        weight_P_G = None if weight_B is None else weight_B.index_select(0, rows).view_as(rows_P_G)
        baseline_P_1, advantage_P_G, dropped_P_1 = _apply_rule(scores_P_G, weight_P_G, config)
        if unshaped_B is not None and config.rule is AdvantageRule.QUANTILE and config.uses_quantile:
            unshaped_P_G = unshaped_B.index_select(0, rows).view_as(rows_P_G)
            usable_P_1 = _varies(unshaped_P_G) & _varies(scores_P_G)
            baseline_P_1 = torch.where(usable_P_1, _quantile_or_mean(unshaped_P_G, config), baseline_P_1)
            advantage_P_G = scores_P_G - baseline_P_1
        if config.norm_by_std:
            advantage_P_G = advantage_P_G / (_standard_deviation(scores_P_G) + EPSILON)
        baseline_B.scatter_(0, rows, baseline_P_1.expand_as(scores_P_G).flatten())
        advantage_B.scatter_(0, rows, advantage_P_G.flatten())
        if dropped_P_1 is not None:
            kept_B[rows_P_G.gather(1, dropped_P_1)] = False
    return GroupAdvantages(baseline_B, advantage_B, kept_B)


def outcome_advantages(
    token_level_rewards_B_T: Tensor,
    response_mask_B_T: Tensor,
    index_B: npt.NDArray[np.object_],
    config: AdvantageConfig,
    unshaped_B: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same on what verl hands to an advantage estimator, in the shape that it expects back.

    A response has as many tokens as its mask has ones; only the token-weighted mean counts them.

    Args:
        token_level_rewards_B_T: float (B, T); a response's score is its sum.
        response_mask_B_T: 1 for response tokens, (B, T).
        index_B: uid of each response's prompt, object array (B,).
        config: see `group_advantages`.
        unshaped_B: see `group_advantages`.

    Returns:
        advantages and returns, which are the same for outcome rewards: float (B, T), each response's advantage
        at its tokens, 0 elsewhere. The median's pivots have advantage 0 here; verl's mask, and with it the
        token-mean denominator, is the caller's.

    Raises:
        ValueError: rewards and mask of different shape, and as `group_advantages`.
    """
    if token_level_rewards_B_T.shape != response_mask_B_T.shape:
        raise ValueError(
            f"rewards are {tuple(token_level_rewards_B_T.shape)} but the mask is {tuple(response_mask_B_T.shape)}"
        )
    with torch.no_grad():
        scores_B = token_level_rewards_B_T.sum(dim=-1)
        tokens_B = response_mask_B_T.sum(dim=-1) if config.rule is AdvantageRule.TOKEN_MEAN else None
        result = group_advantages(scores_B, group_index(index_B).to(scores_B.device), config, unshaped_B, tokens_B)
        # In place on the converted mask: a second (B, T) tensor would cost more than the multiplication.
        advantage_B_T = response_mask_B_T.to(scores_B.dtype, copy=True).mul_(result.advantage_B.unsqueeze(-1))
        return advantage_B_T, advantage_B_T


def group_index(uids_B: npt.NDArray[np.object_]) -> Tensor:
    """Number the groups of a batch in order of appearance: uids, object (B,) -> int64 (B,)."""
    # A missing uid gets the next number inside the lookup, so one pass hashes each uid once.
    numbers: defaultdict[object, int] = defaultdict(count().__next__)
    return torch.from_numpy(np.fromiter(map(numbers.__getitem__, uids_B.tolist()), np.int64, len(uids_B)))


def quantile(scores_P_G: Tensor, k: float, definition: QuantileDefinition) -> Tensor:
    """The K-quantile of each row.

    Args:
        scores_P_G: float (groups, group size).
        k: strictly between 0 and 1.
        definition: `INVERSE_CDF` is the paper's inf{x : F(x) >= K}, the ceil(K G)-th smallest score, safe
            against rounding of K G; `LINEAR` is torch.quantile's interpolation, which the released code uses.

    Returns:
        float (groups, 1).
    """
    if definition is QuantileDefinition.LINEAR:
        return torch.quantile(scores_P_G, k, dim=1, keepdim=True)
    rank = max(1, math.ceil(k * scores_P_G.shape[1] - _TIE_TOLERANCE))
    return scores_P_G.kthvalue(rank, dim=1, keepdim=True).values


def _check(scores_B: Tensor, group_B: Tensor) -> None:
    if scores_B.dim() != 1 or group_B.dim() != 1:
        raise ValueError(
            f"scores and groups must be vectors; got shapes {tuple(scores_B.shape)} and {tuple(group_B.shape)}"
        )
    if len(scores_B) != len(group_B):
        raise ValueError(f"{len(scores_B)} scores but {len(group_B)} group labels")
    if len(scores_B) == 0:
        raise ValueError("the batch is empty: no score to take an advantage of")
    if scores_B.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"scores are {scores_B.dtype}; give torch.float32 or torch.float64")
    if group_B.is_floating_point() or group_B.is_complex() or group_B.dtype is torch.bool:
        raise ValueError(f"group labels are {group_B.dtype}; give torch.int64")
    finite_B = torch.isfinite(scores_B)
    if not bool(finite_B.all()):
        where = int((~finite_B).nonzero()[0, 0])
        count = int((~finite_B).sum())
        raise ValueError(
            f"score {where} (group {int(group_B[where])}) is {float(scores_B[where])}; "
            f"{count} of {len(scores_B)} scores are not finite"
        )


def _weights(tokens_B: Tensor, scores_B: Tensor) -> Tensor:
    """Token counts as float64 weights on the scores' device, once they are known to be counts."""
    if tokens_B.shape != scores_B.shape:
        raise ValueError(f"{len(scores_B)} scores but token counts of shape {tuple(tokens_B.shape)}")
    weight_B = tokens_B.to(scores_B.device, torch.float64)
    usable_B = torch.isfinite(weight_B) & (weight_B >= 0)
    if not bool(usable_B.all()):
        where = int((~usable_B).nonzero()[0, 0])
        raise ValueError(f"response {where} has {float(weight_B[where])} tokens; give counts from 0 on")
    return weight_B


def _groups_by_size(group_B: Tensor) -> Iterator[Tensor]:
    """Row indices of the groups of each size, int64 (groups, size), rows in batch order within a group."""
    order_B = _stable_order(group_B)
    _, size_P = torch.unique_consecutive(group_B.index_select(0, order_B), return_counts=True)
    largest = int(size_P.max())
    if len(size_P) * largest == len(order_B):
        yield order_B.view(-1, largest)
        return
    start_P = size_P.cumsum(0) - size_P
    for size in torch.unique(size_P).tolist():
        yield order_B[start_P[size_P == size, None] + torch.arange(size, device=group_B.device)]


def _stable_order(group_B: Tensor) -> Tensor:
    """Stable argsort of group labels; numpy sorts 16-bit integers by radix, ten times faster than torch."""
    low, high = torch.aminmax(group_B)
    if group_B.device.type == "cpu" and int(high) - int(low) < 2**15:
        labels = (group_B - low).to(torch.int16).numpy()
        return torch.from_numpy(np.argsort(labels, kind="stable"))
    return group_B.argsort(stable=True)


def _apply_rule(
    scores_P_G: Tensor, weight_P_G: Tensor | None, config: AdvantageConfig
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Baseline (P, 1), centred scores (P, G) and, where the rule drops one, its place in each group (P, 1)."""
    match config.rule:
        case AdvantageRule.QUANTILE:
            baseline_P_1 = _quantile_or_mean(scores_P_G, config)
            return baseline_P_1, scores_P_G - baseline_P_1, None
        case AdvantageRule.TOKEN_MEAN:
            baseline_P_1 = _token_mean(scores_P_G, weight_P_G)
            return baseline_P_1, scores_P_G - baseline_P_1, None
        case AdvantageRule.MEDIAN:
            return _median(scores_P_G)
        case AdvantageRule.POS_MASK | AdvantageRule.NEG_MASK:
            return *_masked_by_difficulty(scores_P_G, config), None
        case AdvantageRule.POSITIVE_ONLY:
            low_P_1 = scores_P_G.amin(1, keepdim=True)
            return low_P_1, scores_P_G - low_P_1, None
        case AdvantageRule.NEGATIVE_ONLY:
            high_P_1 = scores_P_G.amax(1, keepdim=True)
            return high_P_1, scores_P_G - high_P_1, None


def _varies(scores_P_G: Tensor) -> Tensor:
    return scores_P_G.amax(1, keepdim=True) > scores_P_G.amin(1, keepdim=True)


def _mean(scores_P_G: Tensor) -> Tensor:
    if scores_P_G.shape[1] == 1:
        return torch.zeros_like(scores_P_G)
    return scores_P_G.mean(1, keepdim=True)


def _token_mean(scores_P_G: Tensor, weight_P_G: Tensor | None) -> Tensor:
    """Mean of each row's scores with float64 weights (P, G), the responses' token counts.

    Where weights are equal, all 0 included, it is `_mean` bit for bit. Elsewhere sums are taken in double, so that
    the order of the batch and rounding do not move it, and it is kept within the row's scores: equal scores have
    themselves as baseline.
    """
    if weight_P_G is None:
        raise ValueError("advantage=token_mean weights each response by its length: give tokens_B")
    low_P_1, high_P_1 = scores_P_G.amin(1, keepdim=True), scores_P_G.amax(1, keepdim=True)
    weighted_P_1 = (weight_P_G * scores_P_G).sum(1, keepdim=True) / weight_P_G.sum(1, keepdim=True)
    weighted_P_1 = weighted_P_1.to(scores_P_G.dtype).clamp(low_P_1, high_P_1)
    return torch.where(_varies(weight_P_G), weighted_P_1, _mean(scores_P_G))


def _standard_deviation(scores_P_G: Tensor) -> Tensor:
    """torch.std of each row alone, bit for bit, which is what verl takes; `scores_P_G.std(1)` is not.

    On a whole CPU tensor torch.std squares, in double, deviations from the mean rounded to the tensor's own
    precision, and adds them one after the other; along a dimension it uses Welford's update. They part where
    the spread is small against the mean: sixteen scores of 0.1 have 7.7e-9 by the one and 0 by the other.
    """
    size = scores_P_G.shape[1]
    if size == 1:
        return torch.ones_like(scores_P_G)
    deviation_P_G = scores_P_G.double().sub_(scores_P_G.mean(1, keepdim=True))
    # cumsum adds in order, as torch.std does; sum would not.
    squares_P_1 = deviation_P_G.square_().cumsum(1)[:, -1:]
    return (squares_P_1 / (size - 1)).sqrt_().to(scores_P_G.dtype)


def _quantile_or_mean(scores_P_G: Tensor, config: AdvantageConfig) -> Tensor:
    if not config.uses_quantile or scores_P_G.shape[1] == 1:
        return _mean(scores_P_G)
    return quantile(scores_P_G, config.quantile_k, config.definition)


def _median(scores_P_G: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """MC-GRPO (arXiv 2601.22582): with G + 1 responses, an odd number, the pivot at the median is dropped.

    The paper: "With an odd-sized group, exactly one completion is the median and receives zero advantage, we
    exclude this pivot rollout from backpropagation". Where several scores equal the median (two-valued scores
    nearly always), they all have advantage 0 and one of them is the pivot: here the first in batch order, in the
    authors' code whichever torch.median points at. A group of even size has none: its median is the mean of the
    two middle scores and every response is kept.

    Only the baseline is theirs. Their code divides by the median absolute deviation + 1e-3, which is 0 + 1e-3
    for most two-valued groups, and multiplies the rest by group size over non-zero advantages; here the scale is
    the standard deviation as under every other rule, so that rules differ in one thing.
    """
    size = scores_P_G.shape[1]
    if size == 1:
        return torch.zeros_like(scores_P_G), scores_P_G, None
    ordered_P_G = scores_P_G.sort(1).values
    middle_P_1 = (ordered_P_G[:, [(size - 1) // 2]] + ordered_P_G[:, [size // 2]]) / 2
    pivot_P_1 = (scores_P_G == middle_P_1).int().argmax(1, keepdim=True) if size % 2 == 1 else None
    return middle_P_1, scores_P_G - middle_P_1, pivot_P_1


def _masked_by_difficulty(scores_P_G: Tensor, config: AdvantageConfig) -> tuple[Tensor, Tensor]:
    """Eqs. 7 and 8 of the paper as advantages: +1 for right and -1 for wrong answers, one of them masked.

    A response is right when its score is its group's highest and wrong when it is the lowest. The scale is the
    span of the group, so that two-valued scores of any scale give the same advantage.
    """
    high_P_1, low_P_1 = scores_P_G.amax(1, keepdim=True), scores_P_G.amin(1, keepdim=True)
    baseline_P_1 = _quantile_or_mean(scores_P_G, config)
    hard_P_1 = baseline_P_1 <= low_P_1
    positive_P_G, negative_P_G = scores_P_G - low_P_1, scores_P_G - high_P_1
    if config.rule is AdvantageRule.POS_MASK:
        positive_P_G = positive_P_G * hard_P_1
    else:
        negative_P_G = negative_P_G * ~hard_P_1
    return baseline_P_1, positive_P_G + negative_P_G
