"""Sessions of several outputs: as verl's GRPO counts them, under every rule and in every metric."""

import math
import random
from typing import cast

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.core_algos import AdvantageEstimator
from verl.trainer.ppo.v1 import trainer_base, utils

from qae import metrics
from qae.config import AdvantageConfig
from qae.verl_plugin import session_keys
from qae.verl_plugin.estimator import Step, during
from qae.verl_plugin.recording.description import describe
from qae.verl_plugin.sessions import Sessions
from tests.verl_plugin.batches import outputs_of

# Right, right, wrong, wrong; the second and the fourth have two outputs, of which the first one may be anything.
KEYS = ["p_0_0", "p_1_0", "p_1_1", "p_2_0", "p_3_0", "p_3_1"]
SCORES = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]
LENGTHS = [2, 4, 1, 3, 2, 2]
RIGHT = [True, True, True, False, False, False]


def batch(keys: list[str], scores: list[float], lengths: list[int]) -> DataProto:
    rows, tokens = len(keys), max(lengths)
    mask_B_T = (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()
    rewards_B_T = torch.zeros(rows, tokens)
    for row, (score, length) in enumerate(zip(scores, lengths, strict=True)):
        rewards_B_T[row, max(length, 1) - 1] = score
    uid_B = np.array([key.rsplit("_", 2)[0] for key in keys], dtype=object)
    return DataProto.from_dict({"token_level_rewards": rewards_B_T, "response_mask": mask_B_T}, {"uid": uid_B})


def advantages(data: DataProto, keys: list[str], estimator: str, **algorithm: object) -> torch.Tensor:
    config = OmegaConf.create({"adv_estimator": estimator, **algorithm})
    by_std = bool(algorithm.get("norm_adv_by_std_in_grpo", True))
    found = utils.compute_advantage_for_multi_trajectories(
        data, keys, estimator, norm_adv_by_std_in_grpo=by_std, config=config
    )
    assert torch.equal(found.batch["advantages"], found.batch["returns"])
    return cast("torch.Tensor", found.batch["advantages"])


def shuffled(seed: int) -> tuple[DataProto, list[str]]:
    """Twelve groups of eight sessions of one to three outputs; rows in mixed order, some outputs masked as a whole."""
    chance = random.Random(seed)
    rows = []
    for prompt in range(12):
        for session in range(8):
            score = chance.choice([1.0, -1.0, -1.0]) - 0.5 * chance.random() * (prompt % 2)
            names = [f"{prompt}_{session}_{output}" for output in range(chance.choice([1, 1, 2, 3]))]
            rows += [(name, score, chance.randint(0 if prompt == 3 else 1, 6)) for name in names]
    chance.shuffle(rows)
    keys, scores, lengths = (list(column) for column in zip(*rows, strict=True))
    return batch(keys, scores, lengths), keys


def test_the_trainers_of_verl_call_the_function_that_knows_sessions() -> None:
    ours = session_keys.compute_advantage_for_multi_trajectories
    assert trainer_base.compute_advantage_for_multi_trajectories is ours
    assert utils.compute_advantage_for_multi_trajectories is ours


@pytest.mark.parametrize("by_std", [True, False])
@pytest.mark.parametrize("k", [-1.0, 0.0, 1.0])
def test_without_a_quantile_several_outputs_equal_verls_grpo_bit_for_bit(k: float, *, by_std: bool) -> None:
    for seed in range(5):
        data, keys = shuffled(seed)
        theirs = advantages(data.select(), keys, AdvantageEstimator.GRPO, norm_adv_by_std_in_grpo=by_std)
        ours = advantages(data.select(), keys, "qae", quantile_k=k, norm_adv_by_std_in_grpo=by_std)
        assert torch.equal(ours, theirs)
        assert theirs.count_nonzero() > 0


@pytest.mark.parametrize("estimator", ["qae", "grpo"])
def test_the_quantile_of_a_group_is_that_of_its_sessions(estimator: str) -> None:
    """By hand: of -1, -1, 1, 1 the 0.4-quantile is -1, the 0.6-quantile 1, and the standard deviation 2/sqrt(3)."""
    of_two = 2 / (2 / math.sqrt(3) + 1e-6)
    for k, right, wrong in ((0.4, of_two, 0.0), (0.6, 0.0, -of_two), (-1.0, of_two / 2, -of_two / 2)):
        found = advantages(batch(KEYS, SCORES, LENGTHS), KEYS, estimator, quantile_k=k)
        expected = torch.tensor([[right], [right], [right], [wrong], [wrong], [wrong]])
        mask = batch(KEYS, SCORES, LENGTHS).batch["response_mask"]
        torch.testing.assert_close(found, expected * mask)


def test_tokens_of_a_session_are_those_of_all_its_outputs() -> None:
    """By hand: 2, 5, 3 and 4 tokens, so that the token-weighted mean is 0 and right and wrong are apart by 2."""
    data = batch(KEYS, SCORES, LENGTHS)
    found = advantages(data, KEYS, "qae", advantage="token_mean", norm_adv_by_std_in_grpo=False)
    assert torch.equal(found[:, 0], torch.tensor(SCORES))
    assert float(found.sum()) == 0
    longer = advantages(batch(KEYS, SCORES, [8, *LENGTHS[1:]]), KEYS, "qae", advantage="token_mean")
    assert float(longer.sum()) == pytest.approx(0, abs=1e-5)


def test_scores_before_shaping_are_those_of_last_outputs() -> None:
    keys, order = [*KEYS], [5, 2, 0, 4, 1, 3]
    shaped = [0.5, 1.0, 1.0, -1.0, -1.5, -1.5]
    clean_B = torch.tensor(SCORES)
    data = batch([keys[row] for row in order], [shaped[row] for row in order], [LENGTHS[row] for row in order])
    with during(Step(unshaped_B=clean_B[order])):
        found = advantages(data, [keys[row] for row in order], "qae", quantile_k=0.4, quantile_on="accuracy")
    score_S = torch.tensor([0.5, 1.0, -1.0, -1.5])
    expected_S = (score_S + 1.0) / (score_S.std() + 1e-6)
    expected_B = expected_S[torch.tensor([0, 1, 1, 2, 3, 3])][order]
    torch.testing.assert_close(found[:, 0], expected_B)


@pytest.mark.parametrize("k", [-1.0, 0.4])
def test_metrics_count_sessions_and_tokens_of_all_outputs(k: float) -> None:
    data = batch(KEYS, SCORES, LENGTHS)
    mask_B_T, uid_B = data.batch["response_mask"], data.non_tensor_batch["uid"]
    advantage_B_T = advantages(data, KEYS, "qae", quantile_k=k)
    score_B, right_B, entropy_B_T = torch.tensor(SCORES), torch.tensor(RIGHT), torch.ones(mask_B_T.shape)
    rule, sessions = AdvantageConfig(quantile_k=k), Sessions.of_keys(KEYS)
    outputs = outputs_of(score_B, advantage_B_T, entropy_B_T, mask_B_T)
    values = describe(outputs, uid_B, rule, score_B, right_B, sessions)
    mean = k < 0
    assert values[metrics.POSITIVE_FRACTION.name] == 0.5
    assert values[metrics.ZERO_FRACTION.name] == (0.0 if mean else 0.5)
    assert values[metrics.NEGATIVE_FRACTION.name] == (0.5 if mean else 0.0)
    assert values[metrics.BASELINE_MEAN.name] == (0.0 if mean else -1.0)
    assert values[metrics.CENTRED_ONE.name] == (0.0 if mean else 0.5)
    assert values[metrics.HARD_GROUP_FRACTION.name] == 1.0
    assert values[metrics.LENGTH_RIGHT.name] == (2 + 5) / 2
    assert values[metrics.LENGTH_WRONG.name] == (3 + 4) / 2
    assert values[metrics.TOKEN_SHARE_POSITIVE.name] == 7 / 14
    advantage = float(advantage_B_T[0, 0])
    assert values[metrics.ADVANTAGE_TOKEN_MEAN.name] == pytest.approx(0.0 if mean else advantage / 2)


@pytest.mark.slow
def test_a_key_without_a_session_is_refused_by_its_name() -> None:
    for key in ("prompt", "prompt_0", "prompt_0_last"):
        with pytest.raises(ValueError, match=f"{key}.* <uid>_<session>_<output>"):
            Sessions.of_keys(["p_0_0", key])
