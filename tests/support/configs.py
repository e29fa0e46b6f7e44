"""Composed configurations for tests: the real tree with overrides, and runs that take a moment."""

from collections.abc import Sequence

from sweeps.app import compose_run
from tests import ROOT

TREE = ROOT / "sweeps" / "conf"

_SHORT = (
    "actor_rollout_ref.actor.ppo_mini_batch_size=2",
    "actor_rollout_ref.rollout.n=8",
    "actor_rollout_ref.rollout.val_kwargs.n=16",
    "trainer.total_training_steps=6",
    "trainer.test_freq=2",
    "trainer.save_freq=2",
)

_SMALL_WORLD = (
    "tabular.facts=40",
    "tabular.choices=4",
    "tabular.facts_per_response=2",
    "tabular.vocabulary=12",
    "tabular.tail=5",
    "tabular.evaluation_problems=6",
    "actor_rollout_ref.actor.optim.lr=1e-3",  # groups stay mixed for a thousand steps
    *_SHORT,
)
# The default model with a small world, whose steps take milliseconds.
QUICK = (*_SMALL_WORLD, "data.train_batch_size=8", "data.gen_batch_size=8")
# The same with longer steps, for runs that something happens to while they train.
LONG_STEPS = (*_SMALL_WORLD, "data.train_batch_size=64", "data.gen_batch_size=64")

# model=tiny with a pretrained start of a few hundred milliseconds and steps of a few dozen.
TINY_QUICK = (
    "tiny.task.modulus=4",
    "tiny.task.pretrain_operations=[1,2]",
    "tiny.task.operations=[1,2]",
    "tiny.task.markers=4",
    "tiny.task.evaluation_problems=6",
    "tiny.model.width=16",
    "tiny.model.layers=1",
    "tiny.model.heads=2",
    "tiny.pretrain.examples=500",
    "tiny.pretrain.steps=60",
    "tiny.pretrain.batch_size=32",
    "data.max_response_length=20",
    "data.train_batch_size=8",
    "data.gen_batch_size=16",
    *_SHORT,
)
# With it, responses that have a form: 14 tokens for right ones, 17 for wrong ones.
TINY_FORM = (
    "tiny.task.pretrain_operations=[2,2]",
    "tiny.task.operations=[2,2]",
    "tiny.task.redo_wrong=0",
    "tiny.task.redo_right=0",
    "tiny.task.style_tokens=2",
    "tiny.task.failure_tokens=3",
    "data.max_response_length=18",
)


def embedded_mapping(*overrides: str, groups: Sequence[str] = ()) -> dict[str, object]:
    """The default run, which is embedded and tabular, with overrides, resolved to plain containers.

    Keys that the tree does not have are added, as a user would with ``++``.

    Args:
        overrides: of keys.
        groups: chosen options, ``regularizer=clip_off``.
    """
    return _composed([*groups, *(f"++{override}" for override in overrides)])


def tiny_mapping(*overrides: str, groups: Sequence[str] = ()) -> dict[str, object]:
    """The same of the embedded transformer."""
    return embedded_mapping(*overrides, groups=("model=tiny", *groups))


def verl_mapping(*overrides: str) -> dict[str, object]:
    """A run of verl, of the 8B model unless the overrides name another, resolved to plain containers."""
    return _composed(["model=qwen3-8b-base", *overrides])


def _composed(overrides: list[str]) -> dict[str, object]:
    return dict(compose_run(overrides))
