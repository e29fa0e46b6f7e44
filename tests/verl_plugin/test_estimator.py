"""The estimator as verl calls it, against verl's own and against the toolkit's formulas."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo import core_algos

import qae.verl_plugin
from qae import metrics
from qae.advantage import group_advantages, group_index
from qae.config import AdvantageConfig, AdvantageRule, QuantileDefinition, QuantileOn
from qae.diagnostics import advantage_diagnostics, entropy_by_sign, token_sums
from qae.errors import ConfigError
from qae.updates.balance import with_k_of_batch
from qae.verl_plugin.estimator import Step, during
from qae.verl_plugin.recording.description import describe, generated_kept, rightness, unshaped
from qae.verl_plugin.recording.validation import Sample, problem_results
from tests.verl_plugin.batches import outputs_of

GROUPS, SIZE, TOKENS = 6, 8, 5


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Shaped +1 and -1 rewards at the last token, a ragged mask, uids in mixed order."""
    generator = torch.Generator().manual_seed(seed)
    rows = GROUPS * SIZE
    length_B = torch.randint(1, TOKENS + 1, (rows,), generator=generator)
    mask_B_T = (torch.arange(TOKENS) < length_B[:, None]).long()
    right_B = torch.randint(0, 2, (rows,), generator=generator)
    score_B = 2.0 * right_B - 1 - 0.25 * (length_B == TOKENS)
    rewards_B_T = torch.zeros(rows, TOKENS).scatter(1, length_B[:, None] - 1, score_B[:, None])
    uid_B = np.array([f"prompt-{row % GROUPS}" for row in range(rows)], dtype=object)
    return rewards_B_T, mask_B_T, uid_B


def call(config: dict[str, object], seed: int = 0) -> torch.Tensor:
    rewards_B_T, mask_B_T, uid_B = batch(seed)
    estimator = core_algos.get_adv_estimator_fn("qae")
    advantages, returns = estimator(
        token_level_rewards=rewards_B_T, response_mask=mask_B_T, index=uid_B, config=OmegaConf.create(config)
    )
    assert isinstance(advantages, torch.Tensor)
    assert torch.equal(advantages, returns)
    return advantages


def test_the_plug_in_registers_the_estimator_and_a_trainer_for_each_of_verls() -> None:
    from verl.trainer.ppo.v1 import get_trainer_cls

    assert qae.verl_plugin.estimator.compute_qae_advantage is core_algos.get_adv_estimator_fn("qae")
    for mode in ("sync", "colocate_async", "separate_async"):
        assert issubclass(get_trainer_cls(f"qae_{mode}"), get_trainer_cls(mode))


@pytest.mark.parametrize("quantile_k", [None, -1.0, 0.0, 1.0, 1.5])
@pytest.mark.parametrize("normalised", [True, False])
def test_k_outside_the_unit_interval_equals_verls_grpo_bit_for_bit(
    quantile_k: float | None, *, normalised: bool
) -> None:
    for seed in range(5):
        rewards_B_T, mask_B_T, uid_B = batch(seed)
        theirs, _ = core_algos.compute_grpo_outcome_advantage(
            rewards_B_T, mask_B_T, uid_B, norm_adv_by_std_in_grpo=normalised
        )
        config: dict[str, object] = {"norm_adv_by_std_in_grpo": normalised}
        ours = call(config if quantile_k is None else {**config, "quantile_k": quantile_k}, seed)
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("rule", list(AdvantageRule))
@pytest.mark.parametrize("definition", list(QuantileDefinition))
def test_the_whole_axis_is_reachable(rule: AdvantageRule, definition: QuantileDefinition) -> None:
    config = AdvantageConfig(quantile_k=0.4, rule=rule, definition=definition)
    rewards_B_T, mask_B_T, uid_B = batch(1)
    expected_B = group_advantages(rewards_B_T.sum(1), group_index(uid_B), config, tokens_B=mask_B_T.sum(1)).advantage_B
    ours = call({"quantile_k": 0.4, "advantage": rule.value, "quantile_definition": definition.value}, seed=1)
    assert torch.equal(ours, expected_B[:, None] * mask_B_T)


def test_quantile_on_accuracy_takes_the_baseline_before_the_length_penalty() -> None:
    rewards_B_T, _, uid_B = batch(2)
    score_B = rewards_B_T.sum(1)
    clean_B = torch.where(score_B > 0, 1.0, -1.0)
    with during(Step(unshaped_B=clean_B)):
        ours = call({"quantile_k": 0.4, "quantile_on": "accuracy"}, seed=2)
    for uid in set(uid_B):
        rows = torch.from_numpy(uid_B == uid)
        scores, clean = score_B[rows], clean_B[rows]
        rank = int(np.ceil(0.4 * SIZE - 1e-9)) - 1
        source = clean if len(clean.unique()) > 1 and len(scores.unique()) > 1 else scores
        expected = (scores - source.sort().values[rank]) / (scores.std() + 1e-6)
        torch.testing.assert_close(ours[rows][:, 0], expected)


def test_an_adapted_k_is_the_trainers_of_the_step() -> None:
    controller = {"low": 0.25, "high": 0.5, "gain": 0.1, "k_low": 0.1, "k_high": 0.9}
    adapted = {"quantile_k": 0.4, "quantile_controller": controller}
    with during(Step(quantile_k=0.8)):
        assert torch.equal(call(adapted, seed=2), call({"quantile_k": 0.8}, seed=2))
    with pytest.raises(ConfigError, match=r"quantile_controller=.* trainer.v1.trainer_mode=qae_sync"):
        call(adapted)


def test_a_balanced_k_needs_no_trainer_and_is_logged() -> None:
    rewards_B_T, mask_B_T, uid_B = batch(6)
    balanced: dict[str, object] = {"quantile_controller": {"target": 0.0, "k_low": 0.01, "k_high": 0.99}}
    rule = AdvantageConfig.from_mapping(balanced)
    score_B = rewards_B_T.sum(1)
    chosen = with_k_of_batch(rule, score_B, group_index(uid_B), mask_B_T.sum(1))
    advantage_B_T = call(balanced, seed=6)
    assert torch.equal(advantage_B_T, call({"quantile_k": chosen.quantile_k}, seed=6))
    values = describe(outputs_of(score_B, advantage_B_T, torch.ones(mask_B_T.shape), mask_B_T), uid_B, rule)
    assert values[metrics.QUANTILE_K.name] == chosen.quantile_k


def test_quantile_on_accuracy_needs_our_trainer_and_says_so() -> None:
    with pytest.raises(ConfigError, match=r"quantile_on='accuracy' .* trainer.v1.trainer_mode=qae_sync"):
        call({"quantile_k": 0.4, "quantile_on": "accuracy"})


@pytest.mark.parametrize("quantile_k", [-1.0, 0.4, 0.8])
def test_the_trainers_metrics_equal_the_toolkits_functions(quantile_k: float) -> None:
    rewards_B_T, mask_B_T, uid_B = batch(3)
    config = AdvantageConfig(quantile_k=quantile_k)
    advantage_B_T = call({"quantile_k": quantile_k}, seed=3)
    entropy_B_T = torch.rand(mask_B_T.shape, generator=torch.Generator().manual_seed(4)) + 0.1
    clean_B = torch.where(rewards_B_T.sum(1) > 0, 1.0, -1.0)
    outputs = outputs_of(rewards_B_T.sum(1), advantage_B_T, entropy_B_T, mask_B_T)
    values = describe(outputs, uid_B, config, clean_B)
    expected = group_advantages(rewards_B_T.sum(1), group_index(uid_B), config)
    by_formula = advantage_diagnostics(
        rewards_B_T.sum(1), group_index(uid_B), expected.baseline_B, expected.advantage_B, quantile_k, span=2.0
    )
    assert by_formula.items() <= values.items()
    by_sign = entropy_by_sign(expected.advantage_B, token_sums(entropy_B_T, mask_B_T), mask_B_T.sum(1))
    assert {name: values[name] for name in by_sign} == pytest.approx(by_sign, rel=1e-6)
    token_mean = float((entropy_B_T * mask_B_T).sum() / mask_B_T.sum())
    assert values[metrics.ENTROPY.name] == pytest.approx(token_mean, rel=1e-6)


@pytest.mark.parametrize("quantile_k", [-1.0, 0.4])
def test_centred_rewards_are_the_same_shares_whatever_a_right_answer_scores(quantile_k: float) -> None:
    _, mask_B_T, uid_B = batch(7)
    right_B = torch.randint(0, 2, (len(uid_B),), generator=torch.Generator().manual_seed(7)).float()
    rule = AdvantageConfig(quantile_k=quantile_k)
    shares = [metrics.CENTRED_ONE, metrics.CENTRED_ZERO, metrics.CENTRED_MINUS_ONE, metrics.CENTRED_OTHER]

    def found(score_B: torch.Tensor, unshaped_B: torch.Tensor | None) -> list[float]:
        advantage_B_T = group_advantages(score_B, group_index(uid_B), rule).advantage_B[:, None] * mask_B_T
        outputs = outputs_of(score_B, advantage_B_T, torch.ones(mask_B_T.shape), mask_B_T)
        values = describe(outputs, uid_B, rule, unshaped_B)
        return [values[share.name] for share in shares]

    of_zero_and_one = found(right_B, right_B)
    assert found(2 * right_B - 1, None) == found(2 * right_B - 1, 2 * right_B - 1) == of_zero_and_one
    if quantile_k > 0:
        assert of_zero_and_one[3] == 0 < of_zero_and_one[0]
    ones_B = torch.ones(len(uid_B))
    assert found(ones_B, ones_B) == [0.0, 1.0, 0.0, 0.0]


def test_groups_that_verl_discards_as_surplus_were_mixed() -> None:
    logged = {"training/filter_groups/evicted_samples": 6.0, "training/off_policy/evicted_samples": 50.0}
    assert generated_kept(10, {}) == 1.0
    assert generated_kept(10, logged) == 10 / 16
    assert generated_kept(10, {**logged, "training/filter_groups/discarded_surplus_samples": 4.0}) == 14 / 20


@pytest.mark.parametrize("rule", [AdvantageRule.QUANTILE, AdvantageRule.TOKEN_MEAN])
def test_the_trainers_token_mean_and_lengths_are_those_of_the_batch(rule: AdvantageRule) -> None:
    rewards_B_T, mask_B_T, uid_B = batch(5)
    score_B, right_B = rewards_B_T.sum(1), rewards_B_T.sum(1) > 0
    advantage_B_T = call({"advantage": rule.value}, seed=5)
    outputs = outputs_of(score_B, advantage_B_T, torch.ones(mask_B_T.shape), mask_B_T)
    given = (outputs, uid_B, AdvantageConfig(rule=rule))
    values = describe(*given, right_B=right_B)
    each = [float(a) for a, taken in zip(advantage_B_T.flatten(), mask_B_T.flatten(), strict=True) if taken]
    assert values[metrics.ADVANTAGE_TOKEN_MEAN.name] == pytest.approx(sum(each) / len(each), rel=1e-4, abs=1e-6)
    assert abs(sum(each)) < 1e-4 or rule is AdvantageRule.QUANTILE
    for metric, wanted in ((metrics.LENGTH_RIGHT, True), (metrics.LENGTH_WRONG, False)):
        lengths = [int(mask_B_T[row].sum()) for row in range(len(score_B)) if bool(right_B[row]) is wanted]
        assert values[metric.name] == pytest.approx(sum(lengths) / len(lengths))
    assert metrics.LENGTH_RIGHT.name not in describe(*given)


def test_who_is_right_comes_from_the_verifier() -> None:
    both: list[object] = [{"reward_extra_info": {"score": -1.5, "acc": False}}, {"reward_extra_info": {"acc": 1.0}}]
    found = rightness(both)
    assert found is not None
    assert found.tolist() == [False, True]
    assert rightness([*both, {"reward_extra_info": {"score": 1.0}}]) is None


def test_scores_before_shaping_come_from_the_verifier() -> None:
    both: list[object] = [{"reward_extra_info": {"score": -1.0, "acc": False}}, {"reward_extra_info": {"acc": 1.0}}]
    found = unshaped(both)
    assert found is not None
    assert found.tolist() == [-1.0, 1.0]
    assert unshaped([*both, {}]) is None
    assert AdvantageConfig.from_mapping({"quantile_on": "accuracy"}).quantile_on is QuantileOn.ACCURACY


def test_counts_by_problem() -> None:
    found = [Sample("aime24", "b", right=True, length=4), Sample("aime24", "a", right=False, length=2)]
    found += [Sample("aime24", "b", right=False, length=8)]
    first, second = problem_results(found)
    assert (first.problem, first.n, first.c, first.mean_length) == ("a", 1, 0, 2.0)
    assert (second.problem, second.n, second.c, second.mean_length) == ("b", 2, 1, 6.0)
