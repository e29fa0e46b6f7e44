"""Advantages: verl's numbers under the mean, the paper's definition under K, and what holds for every rule."""

import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qae.advantage import GroupAdvantages, group_advantages, group_index, outcome_advantages, quantile
from qae.config import AdvantageConfig, AdvantageRule, QuantileDefinition
from qae.errors import ConfigError

SIZES = (1, 2, 4, 5, 8, 10, 16, 20, 32)
TENTHS = tuple(range(1, 10))
RULES = [
    AdvantageConfig(),
    *(AdvantageConfig(quantile_k=k, definition=d) for k in (0.2, 0.4, 0.8) for d in QuantileDefinition),
    AdvantageConfig(quantile_k=0.4, rule=AdvantageRule.POS_MASK),
    AdvantageConfig(quantile_k=0.4, rule=AdvantageRule.NEG_MASK),
    AdvantageConfig(rule=AdvantageRule.MEDIAN),
    AdvantageConfig(rule=AdvantageRule.POSITIVE_ONLY),
    AdvantageConfig(rule=AdvantageRule.NEGATIVE_ONLY),
]

VerlEstimator = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture(scope="session")
def verl_grpo() -> VerlEstimator:
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

    return compute_grpo_outcome_advantage  # type: ignore[no-any-return]


def one_group(size: int, right: int, config: AdvantageConfig) -> GroupAdvantages:
    scores = torch.tensor([1.0] * right + [0.0] * (size - right))
    return group_advantages(scores, torch.zeros(size, dtype=torch.int64), config)


def batches(*, two_valued: bool | None = None) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    """Scores and groups: sizes from 1 to 33, in any order, two-valued or any float32, ties and equal sizes too."""
    value = st.floats(-100, 100, width=32) if two_valued is False else st.sampled_from([0.0, 1.0])
    group = st.lists(value, min_size=1, max_size=33)
    if two_valued is False:
        tied = st.builds(lambda score, size: [score] * size, value, st.sampled_from([2, 8, 16]))
        group = group | tied | st.lists(value, min_size=16, max_size=16)

    def assemble(groups: list[list[float]], seed: int) -> tuple[Tensor, Tensor]:
        scores = torch.tensor([score for members in groups for score in members])
        labels = torch.tensor([7 * number - 3 for number, members in enumerate(groups) for _ in members])
        order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
        return scores[order], labels[order]

    return st.builds(assemble, st.lists(group, min_size=1, max_size=6), st.integers(0, 2**31))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(batch=batches(two_valued=False), k=st.sampled_from([-1.0, 0.0, 1.0, 1.5]), by_std=st.booleans())
def test_outside_0_1_it_is_verls_grpo_bit_for_bit(
    verl_grpo: VerlEstimator, batch: tuple[Tensor, Tensor], k: float, by_std: bool
) -> None:
    scores, groups = batch
    uids = np.array([f"uid-{label}" for label in groups.tolist()], dtype=object)
    mask = torch.ones(len(scores), 3, dtype=torch.int64)
    rewards = torch.zeros(len(scores), 3)
    rewards[:, 2] = scores
    theirs, _ = verl_grpo(rewards.clone(), mask, uids, norm_adv_by_std_in_grpo=by_std)
    ours, _ = outcome_advantages(rewards, mask, uids, AdvantageConfig(quantile_k=k, norm_by_std=by_std))
    assert torch.equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("size", [*SIZES, 64, 100])
def test_many_equal_groups_are_verls_grpo_bit_for_bit(verl_grpo: VerlEstimator, size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    uids = np.array([f"p{number}" for number in range(20)], dtype=object).repeat(size)
    for scores in (
        (torch.rand(20 * size, generator=generator) < 0.4).float(),
        torch.randn(20 * size, generator=generator),
        2.0 * (torch.rand(20 * size, generator=generator) < 0.4).float()
        - 1
        - torch.rand(20 * size, generator=generator) / 3,
        torch.rand(20, generator=generator).repeat_interleave(size),  # equal within each group
        1000 + torch.randn(20 * size, generator=generator),  # spread small against the mean
    ):
        order = torch.randperm(20 * size, generator=generator)
        rewards, mask = scores[order, None], torch.ones(20 * size, 1)
        theirs, _ = verl_grpo(rewards.clone(), mask, uids[order.numpy()])
        ours, _ = outcome_advantages(rewards, mask, uids[order.numpy()], AdvantageConfig())
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("size", [*SIZES[1:], 7, 33, 64])
def test_the_scale_of_many_groups_is_torch_std_of_each_alone(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    noise = torch.randn(600, size, generator=generator)
    for scores in ((noise < 0.3).float(), noise, noise + 1000, noise[:, :1].expand(-1, size).contiguous()):
        groups = torch.arange(600).repeat_interleave(size)
        by_std = group_advantages(scores.flatten(), groups, AdvantageConfig()).advantage_B.view(-1, size)
        for found, row in zip(by_std, scores, strict=True):
            alone = row.clone()  # verl takes mean and std of one vector a group
            assert torch.equal(found, (alone - alone.mean()) / (alone.std() + 1e-6))


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("tenth", TENTHS)
def test_inverse_cdf_is_the_papers_infimum_and_eq_4(size: int, tenth: int) -> None:
    k = Fraction(tenth, 10)
    for right in range(size + 1):
        # inf{x : F(x) >= K} over x in {0, 1}, in exact arithmetic
        expected = 0.0 if Fraction(size - right, size) >= k else 1.0
        assert expected == (0.0 if Fraction(right, size) <= 1 - k else 1.0)  # eq. 4
        result = one_group(size, right, AdvantageConfig(quantile_k=tenth / 10))
        assert set(result.baseline_B.tolist()) == {expected}


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("tenth", TENTHS)
def test_linear_is_torch_quantile_and_differs_from_the_paper_at_one_count_at_most(size: int, tenth: int) -> None:
    k = tenth / 10
    differs = []
    for right in range(size + 1):
        scores = torch.tensor([0.0] * (size - right) + [1.0] * right)
        linear = one_group(size, right, AdvantageConfig(quantile_k=k, definition=QuantileDefinition.LINEAR))
        assert linear.baseline_B[0] == torch.quantile(scores, k)
        inverse = one_group(size, right, AdvantageConfig(quantile_k=k))
        if abs(float(linear.baseline_B[0] - inverse.baseline_B[0])) > 1e-5:
            differs.append(right)
    position = Fraction(tenth, 10) * (size - 1)
    assert differs == ([] if position.denominator == 1 else [size - 1 - math.floor(position)])


@pytest.mark.parametrize(
    ("k", "right", "linear", "inverse", "mean"),
    [  # paper.md 1.1, G = 8: advantages of a right and a wrong response
        (0.2, 6, (1.296, -0.864), (2.160, 0.0), (0.540, -1.620)),
        (0.4, 5, (0.386, -1.546), (0.0, -1.932), (0.725, -1.208)),
        (0.6, 3, (1.546, -0.386), (1.932, 0.0), (1.208, -0.725)),
        (0.8, 2, (0.864, -1.296), (0.0, -2.160), (1.620, -0.540)),
    ],
)
def test_advantages_where_the_definitions_differ(
    k: float, right: int, linear: tuple[float, float], inverse: tuple[float, float], mean: tuple[float, float]
) -> None:
    for config, expected in (
        (AdvantageConfig(quantile_k=k, definition=QuantileDefinition.LINEAR), linear),
        (AdvantageConfig(quantile_k=k), inverse),
        (AdvantageConfig(), mean),
    ):
        advantage = one_group(8, right, config).advantage_B
        assert (float(advantage[0]), float(advantage[-1])) == pytest.approx(expected, abs=6e-4)


@pytest.mark.slow
@pytest.mark.parametrize("config", RULES, ids=str)
@settings(max_examples=40, deadline=None)
@given(batch=batches(two_valued=True), seed=st.integers(0, 2**31))
def test_the_order_of_the_batch_does_not_matter(
    config: AdvantageConfig, batch: tuple[Tensor, Tensor], seed: int
) -> None:
    scores, groups = batch
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
    straight = group_advantages(scores, groups, config)
    shuffled = group_advantages(scores[order], groups[order], config)
    assert torch.equal(shuffled.baseline_B, straight.baseline_B[order])
    torch.testing.assert_close(shuffled.advantage_B, straight.advantage_B[order], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("config", RULES, ids=str)
@settings(max_examples=40, deadline=None)
@given(batch=batches(two_valued=True), scale=st.sampled_from([0.5, 2.0, 8.0]), shift=st.sampled_from([-1.0, 0.0, 3.0]))
def test_advantages_do_not_depend_on_the_scores_scale_and_origin(
    config: AdvantageConfig, batch: tuple[Tensor, Tensor], scale: float, shift: float
) -> None:
    scores, groups = batch
    labels, sizes = torch.unique(groups, return_counts=True)
    several = torch.isin(groups, labels[sizes > 1])  # verl does not centre a group of one
    if not several.any():
        return
    plain = group_advantages(scores[several], groups[several], config).advantage_B
    moved = group_advantages(scale * scores[several] + shift, groups[several], config).advantage_B
    torch.testing.assert_close(moved, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(batch=batches(two_valued=False))
def test_the_baseline_grows_with_k_and_stays_within_the_group(batch: tuple[Tensor, Tensor]) -> None:
    scores, groups = batch
    previous = torch.full_like(scores, -torch.inf)
    for k in (0.05, 0.2, 0.4, 0.5, 0.6, 0.8, 0.95):
        baseline = group_advantages(scores, groups, AdvantageConfig(quantile_k=k)).baseline_B
        assert (baseline >= previous).all()
        previous = baseline
    for label in torch.unique(groups):
        members, b = scores[groups == label], previous[groups == label]
        assert len(members) == 1 or bool((b >= members.min()).all() & (b <= members.max()).all())


@pytest.mark.parametrize("size", SIZES[1:])
def test_signs_of_hard_and_easy_groups(size: int) -> None:
    for right in range(1, size):
        hard = right / size <= 0.6 + 1e-9
        for config, positive, negative in (
            (AdvantageConfig(), True, True),
            (AdvantageConfig(quantile_k=0.4), hard, not hard),
            (AdvantageConfig(quantile_k=0.4, rule=AdvantageRule.POS_MASK), hard, True),
            (AdvantageConfig(quantile_k=0.4, rule=AdvantageRule.NEG_MASK), True, not hard),
            (AdvantageConfig(rule=AdvantageRule.POSITIVE_ONLY), True, False),
            (AdvantageConfig(rule=AdvantageRule.NEGATIVE_ONLY), False, True),
        ):
            advantage = one_group(size, right, config).advantage_B
            assert (advantage[:right] > 0).all() == positive
            assert (advantage[right:] < 0).all() == negative
            assert (advantage[:right] >= 0).all()
            assert (advantage[right:] <= 0).all()
            if config.rule is not AdvantageRule.QUANTILE or config.uses_quantile:
                sigma = torch.tensor([1.0] * right + [0.0] * (size - right)).std()
                moved = advantage[advantage != 0].abs()
                torch.testing.assert_close(moved, torch.full_like(moved, float(1 / (sigma + 1e-6))))


def test_the_median_drops_one_pivot_of_an_odd_group_and_none_of_an_even_one() -> None:
    scores = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    groups = torch.tensor([5, 5, 5, 5, 5, 2, 2, 2, 2])
    result = group_advantages(scores, groups, AdvantageConfig(rule=AdvantageRule.MEDIAN, norm_by_std=False))
    assert result.baseline_B.tolist() == [0.0] * 5 + [0.5] * 4
    assert result.kept_B.tolist() == [False] + [True] * 8
    assert result.advantage_B.tolist() == [0.0, 1.0, 0.0, 0.0, 1.0, -0.5, 0.5, 0.5, -0.5]


def test_a_group_of_one_is_scored_against_0_as_in_verl() -> None:
    result = group_advantages(torch.tensor([0.75]), torch.tensor([9]), AdvantageConfig(quantile_k=0.4))
    assert result.baseline_B.tolist() == [0.0]
    assert result.advantage_B.item() == pytest.approx(0.75 / (1 + 1e-6))


@pytest.mark.parametrize(
    ("scores", "groups", "says"),
    [
        ([], [], "empty"),
        ([1.0, 0.0], [1], "2 scores but 1 group"),
        ([1.0, float("nan"), 0.0], [4, 5, 5], r"score 1 \(group 5\) is nan; 1 of 3"),
        ([float("inf"), 1.0], [4, 4], r"score 0 \(group 4\) is inf"),
    ],
)
def test_unusable_batches_are_refused_with_the_place(scores: list[float], groups: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        group_advantages(torch.tensor(scores), torch.tensor(groups, dtype=torch.int64), AdvantageConfig())


@pytest.mark.parametrize(
    ("scores", "groups", "says"),
    [
        (torch.tensor([1, 0]), torch.tensor([3, 3]), "scores are torch.int64"),
        (torch.tensor([1.0, 0.0]), torch.tensor([0.2, 0.7]), "group labels are torch.float32"),
    ],
)
def test_unusable_types_are_refused(scores: Tensor, groups: Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        group_advantages(scores, groups, AdvantageConfig())


def test_rewards_and_mask_of_different_shape_are_refused() -> None:
    uids = np.array(["a", "a"], dtype=object)
    with pytest.raises(ValueError, match=r"rewards are \(2, 3\) but the mask is \(2, 4\)"):
        outcome_advantages(torch.zeros(2, 3), torch.ones(2, 4), uids, AdvantageConfig())


@pytest.mark.slow
def test_importing_the_method_brings_neither_verl_nor_pandas_and_formulas_not_even_torch() -> None:
    script = "import sys, {}; print(sorted({{'verl', 'pandas', 'scipy', 'torch'}} & set(sys.modules)))"
    for modules, expected in (("qae.advantage, qae.diagnostics", "['torch']"), ("qae.pass_at_k, qae.theory", "[]")):
        done = subprocess.run(
            [sys.executable, "-c", script.format(modules)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_unusable_settings_are_refused() -> None:
    for k in (float("nan"), "abc", True, None):
        with pytest.raises(ConfigError, match=r"algorithm\.quantile_k"):
            AdvantageConfig.from_mapping({"quantile_k": k})
    with pytest.raises(ConfigError, match=r"algorithm\.advantage='posmask' cannot be used: choose one of quantile"):
        AdvantageConfig.from_mapping({"advantage": "posmask"})
    with pytest.raises(ConfigError, match="needs 0 < K < 1"):
        AdvantageConfig(rule=AdvantageRule.POS_MASK)


@given(uids=st.lists(st.text(max_size=3), min_size=1, max_size=60))
def test_group_index_numbers_uids_in_order_of_appearance(uids: list[str]) -> None:
    index = group_index(np.array(uids, dtype=object)).tolist()
    assert [uids.index(uid) for uid in uids] == [uids.index(list(dict.fromkeys(uids))[i]) for i in index]
    assert index[0] == 0
    assert max(index) == len(set(uids)) - 1


def test_token_level_rewards_are_summed_and_the_mask_is_respected() -> None:
    rewards = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 0, 0]])
    uids = np.array(["a", "a", "b", "b"], dtype=object)
    given = mask.clone()
    advantage, returns = outcome_advantages(rewards, mask, uids, AdvantageConfig(norm_by_std=False))
    assert torch.equal(advantage, returns)
    assert torch.equal(mask, given)
    floats = outcome_advantages(rewards, mask.float(), uids, AdvantageConfig(norm_by_std=False))[0]
    assert torch.equal(floats, advantage)
    assert advantage.tolist() == [[0.5, 0.5, 0], [-0.5, -0.5, -0.5], [0.5, 0.5, 0], [-0.5, 0, 0]]


def test_quantile_of_many_valued_scores_reads_off_the_order_statistic() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0, 5.0, 4.0]])
    for tenth, expected in ((2, 1.0), (3, 2.0), (4, 2.0), (6, 3.0), (8, 4.0), (9, 5.0)):
        assert quantile(scores, tenth / 10, QuantileDefinition.INVERSE_CDF).item() == expected
