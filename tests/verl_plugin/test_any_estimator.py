"""`++algorithm.quantile_k=0.4` trains QAE in verl's own trainers and recipes, or is refused; never the mean."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.ray_trainer import RayPPOTrainer, compute_advantage
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from qae.advantage import outcome_advantages
from qae.config import AdvantageConfig
from qae.errors import ConfigError

GROUPS, SIZE, TOKENS = 6, 8, 5


def batch() -> DataProto:
    generator = torch.Generator().manual_seed(0)
    rows = GROUPS * SIZE
    length_B = torch.randint(1, TOKENS + 1, (rows,), generator=generator)
    score_B = 2.0 * torch.randint(0, 2, (rows,), generator=generator) - 1
    uid_B = np.array([f"prompt-{row % GROUPS}" for row in range(rows)], dtype=object)
    mask_B_T = (torch.arange(TOKENS) < length_B[:, None]).long()
    rewards_B_T = torch.zeros(rows, TOKENS).scatter(1, length_B[:, None] - 1, score_B[:, None])
    return DataProto.from_dict({"token_level_rewards": rewards_B_T, "response_mask": mask_B_T}, {"uid": uid_B})


def expected(rule: AdvantageConfig) -> torch.Tensor:
    data = batch()
    tensors = data.batch["token_level_rewards"], data.batch["response_mask"]
    return outcome_advantages(*tensors, data.non_tensor_batch["uid"], rule)[0]


@pytest.mark.parametrize("estimator", ["grpo", core_algos.AdvantageEstimator.GRPO, "qae"])
@pytest.mark.parametrize("k", [0.2, 0.8])
def test_a_quantile_is_trained_under_grpo_and_under_our_own_name(estimator: str, k: float) -> None:
    config = OmegaConf.create({"quantile_k": k})
    found = compute_advantage(batch(), adv_estimator=estimator, config=config).batch["advantages"]
    assert torch.equal(found, expected(AdvantageConfig(quantile_k=k)))
    keys = [f"{uid}_{row}_0" for row, uid in enumerate(batch().non_tensor_batch["uid"])]
    found = compute_advantage_for_multi_trajectories(batch(), keys, estimator, config=config).batch["advantages"]
    assert torch.equal(found, expected(AdvantageConfig(quantile_k=k)))


@pytest.mark.parametrize("section", [{}, {"quantile_k": -1}, {"quantile_k": 1.0}])
def test_without_a_quantile_verl_is_as_it_was(section: dict[str, object]) -> None:
    data = batch()
    theirs, _ = core_algos.compute_grpo_outcome_advantage(
        data.batch["token_level_rewards"].clone(), data.batch["response_mask"], data.non_tensor_batch["uid"]
    )
    found = compute_advantage(batch(), adv_estimator="grpo", config=OmegaConf.create(section)).batch["advantages"]
    assert torch.equal(found, theirs)


def test_an_estimator_without_a_quantile_refuses_k_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"algorithm.quantile_k=0.4 .*adv_estimator=rloo has no quantile; set qae"):
        compute_advantage(batch(), adv_estimator="rloo", config=OmegaConf.create({"quantile_k": 0.4}))


@pytest.mark.parametrize("estimator", ["grpo", "qae"])
def test_a_recipe_that_hands_on_no_configuration_trains_what_its_trainer_was_given(estimator: str) -> None:
    """As verl-recipe's main_dapo, whose trainer is a RayPPOTrainer and calls compute_advantage without `config`."""
    config = OmegaConf.create({"algorithm": {"adv_estimator": estimator, "quantile_k": 0.4}})
    with pytest.raises(Exception, match="actor_rollout_ref"):  # far enough: the trainer has seen its configuration
        RayPPOTrainer(config, tokenizer=None, role_worker_mapping={}, resource_pool_manager=None)
    found = compute_advantage(batch(), adv_estimator=estimator, norm_adv_by_std_in_grpo=True).batch["advantages"]
    assert torch.equal(found, expected(AdvantageConfig(quantile_k=0.4)))
