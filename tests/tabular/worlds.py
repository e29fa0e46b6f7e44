"""Tabular runs for tests: the real tree with overrides, and a world that trains in a moment."""

from collections.abc import Sequence
from typing import cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from qae.tabular.config import TabularConfig
from tests.configs import TREE

SMALL = (
    "tabular.facts=40",
    "tabular.choices=4",
    "tabular.facts_per_response=2",
    "tabular.vocabulary=12",
    "tabular.tail=5",
    "tabular.evaluation_problems=6",
    "data.train_batch_size=8",
    "data.gen_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=2",
    "actor_rollout_ref.rollout.n=8",
    "actor_rollout_ref.rollout.val_kwargs.n=16",
    "trainer.total_training_steps=6",
    "trainer.test_freq=2",
    "trainer.save_freq=2",
)


def mapping(*overrides: str, groups: Sequence[str] = ()) -> dict[str, object]:
    """A tabular run with overrides of keys and chosen options, resolved to plain containers."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        config = compose("config", overrides=["model=tabular", *groups, *(f"++{key}" for key in overrides)])
    return cast("dict[str, object]", OmegaConf.to_container(config, resolve=True))


def small(*overrides: str, groups: Sequence[str] = ()) -> TabularConfig:
    """A run of the small world."""
    return TabularConfig.from_mapping(mapping(*SMALL, *overrides, groups=groups))
