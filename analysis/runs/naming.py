"""Arms and their names: runs that are equal but for the seed are one arm, named by what sets it apart."""

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.runs import identity
from analysis.runs.configuration import comparable
from analysis.runs.frames import ArmName
from analysis.runs.identity import DEFAULT, OF_FORK, ArmRule, Config
from qae.checks import is_number
from qae.files.numbers import number

K = "algorithm.quantile_k"
_DEFINITION = "algorithm.quantile_definition"
_RULE = "algorithm.advantage"
_CONTROLLER = "algorithm.quantile_controller."
_FORKED_FROM, _, _PARENT_K = OF_FORK
_IN_BASELINE = (K, _DEFINITION, _RULE)
# Options whose name stands for the keys that they set. The first of these names that runs have needs no mention.
_OPTIONS: Mapping[str, Sequence[str | None]] = {
    "model": ("tabular", "tiny"),
    "regularizer": ("clip_higher",),
    "data": (None,),
}
CONTROLLED, BALANCED = "controlled", "balanced"  # the rule's names for us where a controller adapts K
_RULE_NAMES = {
    "pos_mask": "POS-MASK",
    "neg_mask": "NEG-MASK",
    "median": "median",
    "token_mean": "token-weighted mean",
    "positive_only": "positive only",
    "negative_only": "negative only",
    CONTROLLED: "adaptive K",
    BALANCED: "balanced K",
}
_LARGEST = 10.0**300  # whole numbers in a configuration may be longer than a float holds
_WORDS_OF_VALUES = ("unset", "True", "False")
_RULES_WITH_A_QUANTILE = ("quantile", "pos_mask", "neg_mask")


@dataclass(frozen=True)
class Named:
    """Runs with their arms and seeds.

    Attributes:
        arms: by run id, in order of arm and seed.
        seeds: by run id.
        notes: what a reader must know of both.
    """

    arms: Mapping[str, ArmName]
    seeds: Mapping[str, int]
    notes: tuple[str, ...]


def identify(configs: Mapping[str, Config], rule: ArmRule = DEFAULT) -> Named:
    """Arm and seed of each run, from what differs between all of them.

    Args:
        configs: by run id, the resolved configuration with dotted keys.
        rule: which keys are seeds, and which set no arms apart.
    """
    arms = arm_names(configs, rule)
    found = identity.seeds(configs, arms, rule)
    places = {arm: place for place, arm in enumerate(dict.fromkeys(arms.values()))}
    ordered = sorted(arms, key=lambda run: (places[arms[run]], found.of[run]))
    return Named({run: arms[run] for run in ordered}, found.of, tuple(identity.remarks(configs, arms, found, rule)))


def arm_names(configs: Mapping[str, Config], rule: ArmRule = DEFAULT) -> dict[str, ArmName]:
    """Name the arm of each run.

    Args:
        configs: by run id, the resolved configuration with dotted keys.
        rule: which keys set no arms apart.

    Returns:
        by run id, in order of arm: plain variant before others, the mean before K in ascending order.
        Two runs have the same name exactly if nothing but seeds and operational keys tells them apart. Forks have one
        name where their parents had one.
    """
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    settings = [key for key in keys if not rule.is_left_out(key)]
    configs = _with_numbers(configs, [key for key in settings if _differs(configs.values(), key)])
    differing = [key for key in settings if _differs(configs.values(), key)]
    options = {
        option: _unmentioned(option, configs.values())
        for option in _OPTIONS
        if _differs(configs.values(), f"labels.{option}")
    }
    plain = [
        key
        for key in differing
        if key not in _IN_BASELINE
        and not _tells_controller_only(key, configs.values())
        and not any(_is_set_by(option, key, configs.values()) for option in options)
    ]
    with_definition = len({config.get(_DEFINITION) for config in configs.values() if k_of(config) is not None}) > 1
    names = {
        run: ArmName(
            _baseline(config, with_definition=with_definition), k_of(config), _variant(config, options, plain, keys)
        )
        for run, config in configs.items()
    }
    return dict(sorted(names.items(), key=lambda item: _order(configs[item[0]], item[1], options, plain)))


def baseline_name(rule: str, k: float | None) -> str:
    """What a baseline is called: "mean", "K = 0.4", "POS-MASK K = 0.4", "median"."""
    if rule == "quantile" and k is None:
        return "mean"
    parts = [] if rule == "quantile" else [_RULE_NAMES.get(rule, rule)]
    return " ".join([*parts, *([f"K = {_short(k)}"] if k is not None else [])])


def rule_of(config: Config) -> str:
    """The rule that makes advantages; `CONTROLLED` or `BALANCED` where K is adapted during the run."""
    if f"{_CONTROLLER}target" in config:
        return BALANCED
    if any(key.startswith(_CONTROLLER) for key in config):
        return CONTROLLED
    return str(config.get(_RULE, "quantile"))


def k_of(config: Config) -> float | None:
    """K where the rule has a quantile, else None."""
    if rule_of(config) not in _RULES_WITH_A_QUANTILE:
        return None
    value = _number_of_k(config)
    return value if value is not None and 0 < value < 1 else None


def k_is_unreadable(config: Config) -> bool:
    """Whether the configuration gives a K that is no number, so that neither the mean nor a quantile is meant."""
    value = config.get(K)
    unset = value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null"))
    return rule_of(config) in _RULES_WITH_A_QUANTILE and not unset and _number_of_k(config) is None


def _number_of_k(config: Config) -> float | None:
    """K as a number, from text too; True, which Python counts as 1, and NaN are none."""
    value = config.get(K)
    is_truth = isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false"))
    found = None if is_truth else number(value)
    return None if found is None or math.isnan(found) else found


def _with_numbers(configs: Mapping[str, Config], keys: Iterable[str]) -> Mapping[str, Config]:
    """Text that is a number as a number, where other runs have one: to YAML 1e-6 is text and 1.0e-6 a number."""
    mixed = [key for key in keys if key != K and len({type(c.get(key)) is str for c in configs.values()}) > 1]
    mixed = [key for key in mixed if any(is_number(config.get(key)) for config in configs.values())]
    return {
        run: {**config, **{key: _number_in(config[key]) for key in mixed if key in config}}
        for run, config in configs.items()
    }


def _number_in(value: object) -> object:
    found = number(value) if isinstance(value, str) else None
    return value if found is None else found


def _differs(configs: Iterable[Config], key: str) -> bool:
    return len({comparable(config.get(key)) for config in configs}) > 1


def _tells_controller_only(key: str, configs: Iterable[Config]) -> bool:
    """Whether a controller's key is the same wherever there is one of its kind; the baseline's name says which."""
    if not key.startswith(_CONTROLLER):
        return False
    values: dict[str, set[object]] = {}
    for config in configs:
        if key in config:
            values.setdefault(rule_of(config), set()).add(comparable(config[key]))
    return all(len(found) == 1 for found in values.values())


def _is_set_by(option: str, key: str, configs: Iterable[Config]) -> bool:
    """Whether the option's name tells the key's value: all runs with the same name have the same value."""
    values: dict[object, set[object]] = {}
    for config in configs:
        values.setdefault(config.get(f"labels.{option}"), set()).add(comparable(config.get(key)))
    return all(len(found) == 1 for found in values.values())


def _baseline(config: Config, *, with_definition: bool) -> str:
    k = k_of(config)
    name = baseline_name(rule_of(config), k)
    if k_is_unreadable(config):
        return f"{'' if name == 'mean' else f'{name} '}K = {reprlib.repr(config.get(K))}"
    if rule_of(config) == CONTROLLED:
        return f"{name} from {_short(_number_of_k(config))}"
    return f"{name} ({config.get(_DEFINITION)})" if with_definition and k is not None else name


def _unmentioned(option: str, configs: Iterable[Config]) -> str | None:
    there = [config.get(f"labels.{option}") for config in configs]
    return next((name for name in _OPTIONS[option] if name in there), _OPTIONS[option][0])


def _variant(config: Config, options: Mapping[str, str | None], plain: Sequence[str], keys: Iterable[str]) -> str:
    chosen = {option: config.get(f"labels.{option}") for option in options}
    names = [f"no {o}" if name is None else str(name) for o, name in chosen.items() if name != options[o]]
    others = [f"{_short_key(key, keys)}={_short(config.get(key))}" for key in plain]
    return ", ".join([*names, *others, *_fork_words(config)])


def _fork_words(config: Config) -> list[str]:
    if _FORKED_FROM not in config:
        return []
    parent = k_of({**config, K: config.get(_PARENT_K)})
    return [f"forked from {baseline_name(rule_of(config), parent)}"]


def _short_key(key: str, keys: Iterable[str]) -> str:
    """The shortest ending of a dotted key that no other key has."""
    parts = key.split(".")
    for count in range(1, len(parts)):
        ending = ".".join(parts[-count:])
        if sum(other == ending or other.endswith(f".{ending}") for other in keys) == 1:
            return ending
    return key


def _short(value: object) -> str:
    if isinstance(value, float):
        rounded = f"{value:g}"
        return rounded if float(rounded) == value else repr(value)
    if isinstance(value, str) and value in _WORDS_OF_VALUES:
        return repr(value)  # the text, beside the value that is written the same
    return "unset" if value is None else str(value)


def _order(
    config: Config, name: ArmName, options: Mapping[str, str | None], plain: Sequence[str]
) -> tuple[object, ...]:
    chosen = [(config.get(f"labels.{option}"), unmentioned) for option, unmentioned in options.items()]
    values = [(0.0, "") if value == unmentioned else _sortable(value) for value, unmentioned in chosen]
    values += [_sortable(config.get(key)) for key in plain]
    rule = rule_of(config)
    return (values, _fork_words(config), rule != "quantile", rule, name.k or 0.0, name.baseline)


def _sortable(value: object) -> tuple[float, str]:
    if isinstance(value, int | float) and value == value:  # noqa: PLR0124  # not a NaN
        return (float(max(min(value, _LARGEST), -_LARGEST)), "")
    return (math.inf, str(value))
