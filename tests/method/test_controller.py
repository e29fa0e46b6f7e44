"""The controller of K: its direction, its bounds, what it refuses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.config import AdvantageConfig
from qae.controller import EntropyBand
from qae.errors import ConfigError

BALANCED = {"target": 0.0, "k_low": 0.01, "k_high": 0.99}
VALUES = {"low": 0.25, "high": 0.5, "gain": 0.1, "k_low": 0.1, "k_high": 0.9}
CONTROLLER = EntropyBand(**VALUES)
ks = st.floats(0.1, 0.9)
entropies = st.floats(1e-6, 20)


@given(ks, entropies)
def test_k_moves_against_the_entropy_by_the_gain_for_each_factor_e(k: float, entropy: float) -> None:
    moved = CONTROLLER.next_k(k, entropy)
    assert 0.1 <= moved <= 0.9
    if entropy > 0.5:
        assert moved == max(k - 0.1 * math.log(entropy / 0.5), 0.1)
    elif entropy < 0.25:
        assert moved == min(k - 0.1 * math.log(entropy / 0.25), 0.9)
    else:
        assert moved == k


@given(ks, entropies, entropies)
def test_a_higher_entropy_never_gives_a_higher_k(k: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert CONTROLLER.next_k(k, high) <= CONTROLLER.next_k(k, low)


@pytest.mark.parametrize("entropy", [0.0, -1.0, math.nan, math.inf])
def test_an_entropy_that_is_none_moves_nothing(entropy: float) -> None:
    assert CONTROLLER.next_k(0.4, entropy) == 0.4


def test_a_rule_with_a_controller_goes_on_from_the_k_of_a_checkpoint() -> None:
    rule = AdvantageConfig.from_mapping({"quantile_k": 0.4, "quantile_controller": VALUES})
    later = rule.at_entropy(5.0)
    assert later.quantile_k == CONTROLLER.next_k(0.4, 5.0) == later.adapted_k
    assert rule.continued(later.adapted_k) == later
    assert rule.continued(None) == rule
    fixed = AdvantageConfig(quantile_k=0.4)
    assert fixed.at_entropy(5.0) == fixed.continued(0.7) == fixed
    assert fixed.adapted_k is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (3, "algorithm.quantile_controller=3 .* controller=entropy_band or controller=balance"),
        ({**VALUES, "gian": 1}, r"quantile_controller.gian=1 .* low, high, gain"),
        ({"low": 0.1}, "quantile_controller.high=None .* controller=entropy_band sets all"),
        ({**VALUES, "gain": 0}, "quantile_controller.gain=0 .* above 0"),
        ({**VALUES, "high": True}, "quantile_controller.high=True .* above 0"),
        ({**VALUES, "low": math.nan}, "quantile_controller.low=nan .* above 0"),
        ({**VALUES, "low": 0.6}, "quantile_controller.low=0.6 .*high=0.5"),
        ({**VALUES, "k_high": 1.0}, "k_high=1.0 .* below 1"),
        ({**VALUES, "k_low": 0.95}, "k_low=0.95 .*k_high=0.9"),
        ({**VALUES, "target": 0}, "quantile_controller.low=0.25 .*controller=balance has target, k_low, k_high"),
        ({"target": 0}, "quantile_controller.k_low=None .* controller=balance sets all"),
        ({**BALANCED, "target": math.inf}, "quantile_controller.target=inf .* give a number"),
        ({**BALANCED, "k_low": -0.1}, "quantile_controller.k_low=-0.1 .* above 0"),
        ({**BALANCED, "k_high": 1}, "k_high=1 .* below 1"),
    ],
)
def test_what_cannot_be_is_refused_with_key_value_and_fix(values: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        AdvantageConfig.from_mapping({"quantile_k": 0.4, "quantile_controller": values})


def test_the_controller_needs_a_quantile_to_adapt() -> None:
    for start in (-1.0, 0.05, 0.95):
        with pytest.raises(ConfigError, match=r"algorithm.quantile_k=.* starts from it"):
            AdvantageConfig(quantile_k=start, controller=CONTROLLER)
    with pytest.raises(ConfigError, match=r"algorithm.advantage=.*pos_mask.* advantage=quantile"):
        AdvantageConfig.from_mapping({"quantile_k": 0.4, "advantage": "pos_mask", "quantile_controller": VALUES})


def test_a_balanced_k_is_not_chosen_twice() -> None:
    with pytest.raises(ConfigError, match=r"algorithm.quantile_k=0.4 .* controller=balance chooses K"):
        AdvantageConfig.from_mapping({"quantile_k": 0.4, "quantile_controller": BALANCED})
    with pytest.raises(ConfigError, match=r"algorithm.advantage=.*token_mean.* advantage=quantile"):
        AdvantageConfig.from_mapping({"advantage": "token_mean", "quantile_controller": BALANCED})
