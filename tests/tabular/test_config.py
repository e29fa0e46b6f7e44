"""Limits of the world: what a user types wrong gets one sentence that names the key, the value and the fix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.errors import ConfigError
from qae.tabular.config import TabularConfig
from qae.tabular.policy import TabularPolicy
from tests.support.configs import QUICK, embedded_mapping

pytestmark = pytest.mark.slow

WHOLE = ("facts", "choices", "facts_per_response", "style_contexts", "vocabulary", "style_tokens", "failure_tokens")
BASE = embedded_mapping(*QUICK)


def changed(**values: object) -> dict[str, object]:
    world = BASE["tabular"]
    assert isinstance(world, dict)
    return {**BASE, "tabular": {**world, **values}}


@pytest.mark.parametrize(
    ("override", "key", "says"),
    [
        ("tabular.facts=0", "tabular.facts", "at least 1"),
        ("tabular.choices=1", "tabular.choices", "at least 2"),
        ("tabular.facts=100000000", "tabular.facts", "logits"),
        ("tabular.reliability=[1]", "tabular.reliability", "two numbers"),
        ("tabular.reliability=[0,1]", "tabular.reliability", "above 0"),
        ("tabular.misconception=1.5", "tabular.misconception", "between 0 and 1"),
        ("tabular.disturbance=-1", "tabular.disturbance", "between 0 and 1"),
        ("tabular.zipf_exponent=-1", "tabular.zipf_exponent", "at least 0"),
        ("tabular.zipf_exponent=nan", "tabular.zipf_exponent", "finite"),
        ("tabular.tail=13", "tabular.tail", "tabular.vocabulary=12"),
        ("tabular.failure_tokens=-1", "tabular.failure_tokens", "at least 0"),
        ("tabular.failure_tokens=60", "data.max_response_length", "at least 66"),
        ("tabular.fact_lr_factor=0", "tabular.fact_lr_factor", "above 0"),
        ("tabular.evaluation_problems=0", "tabular.evaluation_problems", "at least 1"),
        ("tabular.seed=-1", "tabular.seed", "at least 0"),
        ("tabular.fact=3", "tabular.fact", "did you mean tabular.facts?"),
        ("actor_rollout_ref.actor.optim.weight_decay=0.1", "weight_decay", "set 0"),
        ("actor_rollout_ref.rollout.val_kwargs.top_p=0.7", "val_kwargs.top_p", "set 1"),
        ("actor_rollout_ref.rollout.n=1", "actor_rollout_ref.rollout.n", "at least 2"),
    ],
)
def test_a_wrong_value_is_one_sentence_naming_the_key(override: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TabularConfig.from_mapping(embedded_mapping(*QUICK, override))
    message = str(caught.value)
    assert key in message
    assert says in message
    assert "\n" not in message


@given(st.fixed_dictionaries({name: st.integers(-1, 4) for name in WHOLE}), st.integers(-1, 5))
def test_every_world_is_refused_or_trains_a_step(values: dict[str, int], tail: int) -> None:
    try:
        config = TabularConfig.from_mapping(changed(**values, tail=tail, reliability=[1.0, 1.0]))
    except ConfigError:
        return
    policy = TabularPolicy(config)
    try:
        batch = policy.batch(1)
    except RuntimeError:  # no group had both right and wrong responses
        return
    world = config.tabular
    assert batch.responses.mask_B_T.sum(1).min() == world.facts_per_response * (world.style_tokens + 1)
    assert batch.responses.ids_B_T.max() < world.vocabulary + world.choices
    assert len(policy.evaluate(1)) == world.evaluation_problems
