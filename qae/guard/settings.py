"""The `guard` section of a configuration: which rules watch a run, with which thresholds, and what they do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from qae.checks import is_number, member
from qae.errors import ConfigError
from qae.guard.rules import RULES, KnownRule, Rule


class Action(StrEnum):
    """What is done when a rule fires."""

    WARN = "warn"  # a line in the log, shown by `qae status`
    TAG = "tag"  # that, and a tag on W&B
    STOP = "stop"  # the run ends after the step, with its checkpoint
    FORK = "fork"  # that, and goes on with another K from before it began

    @property
    def ends(self) -> bool:
        """Whether the run is over with it."""
        return self in (Action.STOP, Action.FORK)


@dataclass(frozen=True)
class Watch:
    """A rule on duty.

    Attributes:
        rule: with its thresholds.
        action: what is done when it fires.
        fork_k: K of the run that goes on under `Action.FORK`.
    """

    rule: Rule
    action: Action
    fork_k: float | None


_Check = tuple[Callable[[float], bool], str]
_COUNT: _Check = (lambda value: value >= 1 and value == int(value), "give a whole number of at least 1")
_POSITIVE: _Check = (lambda value: value > 0, "give a number above 0, in multiples of the start")
_CHECKS: Mapping[str, _Check] = {
    "steps": _COUNT,
    "start_steps": _COUNT,
    "ratio": _POSITIVE,
    "advantage": (lambda value: value < 0, "give a number below 0, or null"),
    "clip_drift": (lambda value: value > 0, "give a number above 0, or null"),
    "fork_k": (lambda value: 0 < value < 1, "give K of the run that goes on, between 0 and 1"),
}
_OPTIONAL = ("advantage", "clip_drift")


def watches(section: object) -> tuple[Watch, ...]:
    """Read a `guard` section: one section per rule, null or absent for a rule that is off.

    Raises:
        ConfigError: an unknown rule or key, a missing key, a wrong value.
    """
    if section is None:
        return ()
    if not isinstance(section, Mapping):
        raise ConfigError("guard", section, "choose guard=none or guard=entropy, or give a section for each rule")
    known = {rule.name: rule for rule in RULES}
    for name, value in section.items():
        if name not in known:
            raise ConfigError(f"guard.{name}", value, f"the rules are {', '.join(known)}")
    return tuple(_watch(name, known[name], values) for name in known if (values := section.get(name)) is not None)


def _watch(name: str, rule: type[KnownRule], values: object) -> Watch:
    thresholds = [field.name for field in fields(rule)]
    keys = ["action", "fork_k", *thresholds]
    if not isinstance(values, Mapping):
        raise ConfigError(f"guard.{name}", values, f"give null to switch it off, or the keys {', '.join(keys)}")
    for key, value in values.items():
        if key not in keys:
            raise ConfigError(f"guard.{name}.{key}", value, f"the keys are {', '.join(keys)}")
    action = member(Action, f"guard.{name}.action", values.get("action"))
    fork_k = _number(name, "fork_k", values.get("fork_k")) if action is Action.FORK else None
    numbers: dict[str, Any] = {key: _number(name, key, values.get(key)) for key in thresholds}
    return Watch(rule(**numbers), action, fork_k)


def _number(name: str, key: str, value: object) -> float | None:
    if value is None and key in _OPTIONAL:
        return None
    holds, fix = _CHECKS[key]
    if not is_number(value) or not holds(value):
        raise ConfigError(f"guard.{name}.{key}", value, fix)
    return int(value) if key in ("steps", "start_steps") else value
