"""What a user types wrong gets one sentence that names the key, the value and the fix."""

import pytest

from qae.errors import ConfigError
from qae.tiny.config import TinyConfig
from tests.support.configs import embedded_mapping, tiny_mapping


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "key", "says"),
    [
        ("actor_rollout_ref.actor.clip_ratio_hihg=0.3", "actor_rollout_ref.actor.clip_ratio_hihg", "clip_ratio_high?"),
        ("actor_rollout_ref.actor.ulysses_sequence_parallel_size=2", "ulysses", "does not implement"),
        ("actor_rollout_ref.actor.policy_loss.loss_mode=gpso", "policy_loss.loss_mode", "gspo"),
        ("actor_rollout_ref.actor.optim.lr=fast", "actor_rollout_ref.actor.optim.lr", "fast"),
        ("actor_rollout_ref.actor.optim.lr=-1", "actor_rollout_ref.actor.optim.lr", "above 0"),
        ("actor_rollout_ref.actor.ppo_mini_batch_size=7", "ppo_mini_batch_size", "divide"),
        ("actor_rollout_ref.actor.use_kl_loss=true", "use_kl_loss", "no KL loss"),
        ("actor_rollout_ref.actor.entropy_coeff=0.01", "entropy_coeff", "no entropy bonus"),
        ("actor_rollout_ref.rollout.top_p=0.9", "rollout.top_p", "set 1"),
        ("algorithm.quantile_k=abc", "algorithm.quantile_k", "give a number"),
        ("algorithm.quantile_k=nan", "algorithm.quantile_k", "NaN"),
        ("algorithm.quantile_definition=lower", "algorithm.quantile_definition", "inverse_cdf"),
        ("algorithm.adv_estimator=gae", "algorithm.adv_estimator", "qae"),
        ("data.reward_noise.flip=1.5", "data.reward_noise.flip", "between 0 and 1"),
        ("trainer.total_training_steps=0", "trainer.total_training_steps", "above 0"),
        ("tiny.task.operations=[5,4]", "tiny.task.operations", "fewest"),
        ("tiny.task.operations=[[],[]]", "tiny.task.operations", "number"),
        ("data.train_batch_size=2.5", "data.train_batch_size", "2.5"),
    ],
)
def test_a_wrong_value_is_one_sentence_naming_the_key(override: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TinyConfig.from_mapping(tiny_mapping(override))
    message = str(caught.value)
    assert key in message
    assert says in message
    assert "\n" not in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "key", "says"),
    [
        ("tiny.task.operations=[2,3]", "tiny.task.operations", "[2, 2]"),
        ("tiny.task.pretrain_operations=[1,2]", "tiny.task.pretrain_operations", "[2, 2]"),
        ("tiny.task.redo_wrong=0.3", "tiny.task.redo_wrong", "give 0"),
        ("tiny.task.style_tokens=4", "data.max_response_length", "29"),
        ("data.max_response_length=48", "data.max_response_length", "27"),
        ("tiny.task.style_tokens=0", "tiny.task.failure_tokens", "tiny.task.style_tokens above 0"),
        ("tiny.task.failure_tokens=-1", "tiny.task.failure_tokens", "at least 0"),
        ("tiny.task.zipf_exponent=-1.0", "tiny.task.zipf_exponent", "at least 0"),
    ],
)
def test_a_wrong_value_of_a_form_is_one_sentence_naming_the_key(override: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TinyConfig.from_mapping(embedded_mapping(override, groups=["model=tiny-failures"]))
    message = str(caught.value)
    assert key in message
    assert says in message
    assert "\n" not in message


def test_a_missing_key_is_named() -> None:
    mapping = tiny_mapping()
    del mapping["trainer"]["save_freq"]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"trainer\.save_freq"):
        TinyConfig.from_mapping(mapping)
    del mapping["trainer"]
    with pytest.raises(ConfigError, match="trainer"):
        TinyConfig.from_mapping(mapping)


def test_operational_sections_are_left_alone() -> None:
    mapping = tiny_mapping()
    mapping["tracking"] = {"mode": "offline"}
    assert TinyConfig.from_mapping(mapping).rollout.n == 16
