"""The configuration tree: its groups and keys, for checks and suggestions."""

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf

from qae.nested import keys

TREE = Path(__file__).parents[1] / "conf"
# Every plan reads the whole tree; OmegaConf's reader, which is Python, takes fifteen times as long.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PACKAGE = re.compile(rb"# @package (\S+)")
# The group that no defaults list has: its options are added with a plus.
EXPERIMENT = "experiment"


def is_group(name: str) -> bool:
    """Whether the tree has a group of that name."""
    return bool(name) and (TREE / name).is_dir()


# What people call keys.
_ALIASES = {
    "k": "algorithm.quantile_k",
    "lr": "actor_rollout_ref.actor.optim.lr",
    "learning_rate": "actor_rollout_ref.actor.optim.lr",
    "n": "actor_rollout_ref.rollout.n",
    "group_size": "actor_rollout_ref.rollout.n",
    "temperature": "actor_rollout_ref.rollout.temperature",
    "batch_size": "data.train_batch_size",
    "steps": "trainer.total_training_steps",
    "seeds": "seed",
}


@cache
def options(group: str) -> tuple[str, ...]:
    """Names of a group's options."""
    return tuple(sorted(path.stem for path in (TREE / group).glob("*.yaml")))


@cache
def groups() -> tuple[str, ...]:
    """Names of all groups."""
    return tuple(sorted({path.parent.relative_to(TREE).as_posix() for path in TREE.glob("*/*.yaml")}))


@cache
def chosen_groups() -> frozenset[str]:
    """Groups of which every run has an option: those of the main defaults list."""
    defaults = OmegaConf.load(TREE / "config.yaml").defaults
    return frozenset(str(name) for entry in defaults if isinstance(entry, DictConfig) for name in entry)


@cache
def known_keys() -> tuple[str, ...]:
    """Dotted keys of the whole tree, sections among them."""
    return tuple(sorted({key for path in TREE.rglob("*.yaml") for key in keys(written(path))}))


def written(path: Path) -> Mapping[str, object]:
    """What a file of the tree sets, at its place in the configuration: below its package, else its group's name."""
    text = path.read_bytes()
    header = _PACKAGE.match(text)
    package = header[1].decode() if header else ".".join(path.parent.relative_to(TREE).parts)
    content: Mapping[str, object] = yaml.load(text, _LOADER) or {}  # noqa: S506  # both are safe
    for name in reversed(package.split(".")) if package not in ("", "_global_") else ():
        content = {name: content}
    return content


def nearest(word: str, choices: Sequence[str]) -> str | None:
    """The choice that a word was meant to be: a choice that ends in the word, else the choice most like it."""
    if (alias := _ALIASES.get(word.lower())) in choices:
        return alias
    tails = [choice for choice in choices if choice.rpartition(".")[2] == word.rpartition(".")[2]]
    tails = [choice for choice in tails if choice.endswith(f".{word}")] or tails
    if tails and word not in choices:
        return max(tails, key=lambda choice: difflib.SequenceMatcher(None, word, choice).ratio())
    close = difflib.get_close_matches(word, [choice for choice in choices if choice != word], n=1)
    return close[0] if close else None


def did_you_mean(word: str, choices: Sequence[str]) -> str:
    """The beginning of a hint, or nothing."""
    found = nearest(word, choices)
    return f"did you mean {found}? " if found else ""
