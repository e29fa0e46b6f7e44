"""Arms are runs equal but for the seed, named by what sets them apart."""

from collections.abc import Mapping

import pytest

from analysis.runs import naming
from analysis.runs.configuration import flatten
from analysis.runs.frames import ArmName
from qae import operational
from tests.analysis.stores import config

SYMMETRIC = {"labels.regularizer": "clip_symmetric", "actor_rollout_ref.actor.clip_ratio_high": 0.2}


def names(*changes: Mapping[str, object]) -> list[str]:
    configs = {str(index): flatten(config(change)) for index, change in enumerate(changes)}
    arms = naming.arm_names(configs)
    return [str(arms[run]) for run in configs]


def test_the_baseline_names_an_arm() -> None:
    assert names({}, {"algorithm.quantile_k": 0.4}, {"algorithm.quantile_k": 0.25}) == ["mean", "K = 0.4", "K = 0.25"]


@pytest.mark.parametrize(
    ("rule", "k", "expected"),
    [
        ("median", -1, "median"),
        ("median", 0.4, "median"),
        ("token_mean", -1, "token-weighted mean"),
        ("token_mean", 0.4, "token-weighted mean"),
        ("positive_only", -1, "positive only"),
        ("pos_mask", 0.4, "POS-MASK K = 0.4"),
        ("quantile", 1.0, "mean"),
    ],
)
def test_the_rule_names_the_baseline(rule: str, k: float, expected: str) -> None:
    assert names({"algorithm.advantage": rule, "algorithm.quantile_k": k}) == [expected]


def test_an_adapted_k_is_an_arm_of_its_own() -> None:
    low, high = (f"algorithm.quantile_controller.{name}" for name in ("low", "high"))
    fixed, adapted = {"algorithm.quantile_k": 0.4}, {"algorithm.quantile_k": 0.4, low: 0.25, high: 0.5}
    assert names(fixed, adapted, {**adapted, "algorithm.quantile_k": 0.8}) == [
        "K = 0.4",
        "adaptive K from 0.4",
        "adaptive K from 0.8",
    ]
    assert names(fixed, adapted, {**adapted, low: 0.1})[1:] == [
        "adaptive K from 0.4, low=0.25",
        "adaptive K from 0.4, low=0.1",
    ]
    bound = "algorithm.quantile_controller.k_low"
    balanced = {"algorithm.quantile_k": -1, "algorithm.quantile_controller.target": 0.0, bound: 0.01}
    adapted |= {bound: 0.1}
    assert names(fixed, adapted, balanced) == ["K = 0.4", "adaptive K from 0.4", "balanced K"]


def test_forks_are_one_arm_whatever_runs_they_come_from() -> None:
    k = "algorithm.quantile_k"
    one = {k: 0.4, "fork.run": "a", "fork.step": 10, "fork.parent_k": 0.8}
    other = {**one, "seed": 1, "fork.run": "b", "fork.step": 20}
    of_mean = {**one, "fork.run": "c", "fork.parent_k": -1}
    assert names({k: 0.4}, one, other, of_mean) == [
        "K = 0.4",
        "K = 0.4, forked from K = 0.8",
        "K = 0.4, forked from K = 0.8",
        "K = 0.4, forked from mean",
    ]


def test_an_option_stands_for_the_keys_it_sets() -> None:
    assert names({}, SYMMETRIC, {**SYMMETRIC, "algorithm.quantile_k": 0.4}) == [
        "mean",
        "mean, clip_symmetric",
        "K = 0.4, clip_symmetric",
    ]


def test_the_default_model_needs_no_mention_nor_does_the_transformer_beside_larger_ones() -> None:
    tabular, tiny, wide = ({"labels.model": name} for name in ("tabular", "tiny", "tiny-wide"))
    assert names(tabular, tiny, wide) == ["mean", "mean, tiny", "mean, tiny-wide"]
    assert names(tiny, wide) == ["mean", "mean, tiny-wide"]
    configs = {str(index): flatten(config(change)) for index, change in enumerate((wide, tiny))}
    assert list(naming.arm_names(configs)) == ["1", "0"]


def test_a_key_that_the_option_does_not_tell_is_named() -> None:
    """Clip ratios changed by hand beside the regularizer must not merge two arms into one."""
    wider = {"actor_rollout_ref.actor.clip_ratio_high": 0.24}
    assert names({}, SYMMETRIC, wider) == [
        "mean, clip_ratio_high=0.28",
        "mean, clip_symmetric, clip_ratio_high=0.2",
        "mean, clip_ratio_high=0.24",
    ]


def test_keys_get_the_shortest_ending_that_is_theirs_alone() -> None:
    lr = "actor_rollout_ref.actor.optim.lr"
    other = {"tiny.pretrain.lr": 3e-3}  # the same in both, and still another lr
    found = names({lr: 2.5e-4, "data.train_batch_size": 64, **other}, {lr: 4e-4, "data.train_batch_size": 32, **other})
    parts = [set(name.split(", ")) for name in found]
    assert parts == [
        {"mean", "train_batch_size=64", "optim.lr=0.00025"},
        {"mean", "train_batch_size=32", "optim.lr=0.0004"},
    ]


def test_close_numbers_stay_apart() -> None:
    lr = "actor_rollout_ref.actor.optim.lr"
    assert len(set(names({lr: 0.00012345678}, {lr: 0.00012345679}))) == 2


def test_the_quantile_definition_is_named_where_it_differs() -> None:
    quantile = {"algorithm.quantile_k": 0.4}
    linear = {**quantile, "algorithm.quantile_definition": "linear"}
    assert names(quantile, linear, {}) == ["K = 0.4 (inverse_cdf)", "K = 0.4 (linear)", "mean"]


def test_seeds_and_operational_keys_make_no_arms() -> None:
    found = names({"seed": 1}, {"seed": 2, "trainer.save_freq": 7, "resources.threads": 2, "labels.experiment": "x"})
    assert found == ["mean", "mean"]


def test_arms_come_in_the_order_of_their_values() -> None:
    lr = "actor_rollout_ref.actor.optim.lr"
    configs: dict[str, dict[str, object]] = {
        "a": {"algorithm.quantile_k": 0.8, lr: 1e-5},
        "b": {"algorithm.quantile_k": 0.2, lr: 1e-5, "seed": 2},
        "c": {lr: 4e-4},
        "d": {lr: 1e-5},
        "e": {"algorithm.quantile_k": 0.2, lr: 1e-5, "seed": 1},
        "f": {"algorithm.advantage": "median", lr: 1e-5},
    }
    ordered = naming.identify({run: flatten(config(changes)) for run, changes in configs.items()})
    assert list(ordered.arms) == ["d", "e", "b", "a", "f", "c"]


def test_the_plain_variant_comes_first() -> None:
    ordered = naming.identify({"s": flatten(config(SYMMETRIC)), "p": flatten(config({}))})
    assert next(iter(ordered.arms.items())) == ("p", ArmName("mean", None, ""))


@pytest.mark.parametrize("key", sorted({*operational.KEYS, *(f"{section}.key" for section in operational.SECTIONS)}))
def test_what_the_identity_of_a_run_leaves_out_makes_no_arms(key: str) -> None:
    assert names({key: 1}, {key: 2}) == ["mean", "mean"]
