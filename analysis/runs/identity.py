"""Which runs are one arm and which seed each has: the rule, what a user changes of it, and what it leaves unsaid.

Runs are one arm if they are equal but for seeds and operational keys. `qae.operational` knows the operational keys of
our own runs, which run ids leave out too; `analysis.runs.key_kinds` recognises those of other configurations by name.
"""

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from analysis.runs import key_kinds
from analysis.runs.configuration import comparable
from analysis.wording import hint
from qae.checks import is_whole
from qae.console.text import brief
from qae.operational import is_operational

Config = Mapping[str, object]

# Of a fork of a run that a guard ended (sweeps/worker/forks.py). Which run it was is no difference, as a seed is none.
OF_FORK = ("fork.run", "fork.step", "fork.parent_k")
_SEED = "seed"
_LARGEST = 2**63 - 1  # frames hold no larger whole numbers
_SHOWN = 4


class UnknownKeyError(ValueError):
    """A pattern of a user fits no key of any run; the text is a sentence with what it may have meant."""


@dataclass(frozen=True)
class ArmRule:
    """What a user changes of the rule.

    A pattern is a dotted key (``data.seed``), the end of one (``lr`` for ``optim.lr``), a section (``trainer``), or one
    of these with stars (``trainer.*_dir``). Case counts.

    Attributes:
        seed_keys: keys of the training seed, the first that a run has counts; other seeds still set no arms apart.
        ignore: patterns of keys that set no arms apart.
        split: patterns of keys that do, whatever the rule says of them; they outrank the others.
    """

    seed_keys: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    split: tuple[str, ...] = ()

    def is_seed(self, key: str) -> bool:
        """Whether a key is a seed."""
        if _fits_any(key, self.split):
            return False
        return _fits_any(key, self.seed_keys) or key_kinds.names_a_seed(key)

    def is_left_out(self, key: str) -> bool:
        """Whether a key sets no arms apart: seeds, operational keys, and what the user leaves out."""
        if _fits_any(key, self.split):
            return False
        known = is_operational(key) or key in OF_FORK or bool(key_kinds.reason_left_out(key))
        return known or self.is_seed(key) or _fits_any(key, self.ignore)

    def check(self, configs: Iterable[Config]) -> None:
        """Make sure that every pattern fits a key.

        Raises:
            UnknownKeyError: one fits none.
        """
        keys = list(dict.fromkeys(key for config in configs for key in config))
        for option, patterns in (("--seed-key", self.seed_keys), ("--ignore", self.ignore), ("--split", self.split)):
            for pattern in patterns:
                if not any(_fits(key, pattern) for key in keys):
                    raise UnknownKeyError(f"{option} {pattern}: no run has such a key; {_near(pattern, keys)}")


DEFAULT = ArmRule()


@dataclass(frozen=True)
class Seeds:
    """The seeds of runs.

    Attributes:
        of: by run id.
        notes: sentences on seeds that are not what a configuration says.
    """

    of: Mapping[str, int]
    notes: tuple[str, ...]


def seeds(configs: Mapping[str, Config], arms: Mapping[str, Hashable], rule: ArmRule = DEFAULT) -> Seeds:
    """The seed of each run, by which runs of different arms are paired.

    Of several seed keys the one counts that tells all runs of each arm apart: those that the user names come first,
    then those that differ between runs, then ``seed``, then those higher up. Where only several together do, their
    combinations are numbered; so are seeds that are no whole numbers, and runs that have none.

    Args:
        configs: by run id, dotted keys.
        arms: by run id.
        rule: what the user says of keys.
    """
    own = {run: own_seeds(config, rule) for run, config in configs.items()}
    order = _order(own, rule)
    chosen = {run: _first(values, order) for run, values in own.items()}
    together = False
    for lead in order:
        candidate = {run: _first(values, [lead, *order]) for run, values in own.items()}
        if not _confuses(candidate, own, arms):
            chosen = candidate
            break
    else:
        if order:
            chosen = {run: tuple(sorted(values.items())) or None for run, values in own.items()}
            together = True
    return _numbered(chosen, arms, together=together)


def own_seeds(config: Config, rule: ArmRule = DEFAULT) -> dict[str, object]:
    """Seed keys of a run that say something, with their seeds: true, false and NaN are none."""
    return {key: seed for key, value in config.items() if rule.is_seed(key) and (seed := _seed(value)) is not None}


def duplicates(arms: Mapping[str, Hashable], of: Mapping[str, int]) -> dict[tuple[str, ...], str]:
    """Runs that share arm and seed: their ids, and a sentence on them."""
    groups: dict[tuple[Hashable, int], list[str]] = {}
    for run, arm in arms.items():
        groups.setdefault((arm, of[run]), []).append(run)
    return {
        tuple(
            group
        ): f"{brief(arm)}, seed {seed}: runs {_listed(group)} have one configuration. Counted as separate seeds, they "
        "make intervals too narrow; a comparison takes their mean."
        for (arm, seed), group in groups.items()
        if len(group) > 1
    }


def remarks(configs: Mapping[str, Config], arms: Mapping[str, Hashable], found: Seeds, rule: ArmRule) -> list[str]:
    """What a reader must know of arms and seeds beside their names."""
    notes = [*found.notes, *duplicates(arms, found.of).values()]
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    silent = [key for key in keys if _is_left_out_by_name(key, rule) and _differs_within(configs, arms, key)]
    if silent:
        notes.append(
            f"Runs of one arm differ in {_listed(silent)}: such keys say where, when and by whom a run was made. "
            "--split KEY makes arms of one."
        )
    if lonely := _lonely(configs, arms, found, rule):
        notes.append(
            f"Each arm has one run. Every run has another value of {_listed(lonely)}; --ignore KEY leaves out a key "
            "that is no setting."
        )
    return notes


def _seed(value: object) -> object:
    """A seed as a whole number where it can be read as one, else as it is; None where it is none."""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or value is None or value == () or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        value = int(text) if re.fullmatch(r"[+-]?\d{1,30}", text, re.ASCII) else _number_or_text(text)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number_or_text(text: str) -> object:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number.is_integer() else text


def _order(own: Mapping[str, Mapping[str, object]], rule: ArmRule) -> list[str]:
    keys = dict.fromkeys(key for values in own.values() for key in values)
    counts = {key: len({comparable(values[key]) for values in own.values() if key in values}) for key in keys}
    named = {key: place for place, key in reversed(list(enumerate(rule.seed_keys)))}

    def rank(key: str) -> tuple[object, ...]:
        place = min((place for pattern, place in named.items() if _fits(key, pattern)), default=len(named))
        return (place, counts[key] < 2, key != _SEED, key.count("."))

    return sorted(keys, key=rank)


def _first(values: Mapping[str, object], order: Sequence[str]) -> object:
    return next((values[key] for key in order if key in values), None)


def _confuses(
    chosen: Mapping[str, object], own: Mapping[str, Mapping[str, object]], arms: Mapping[str, Hashable]
) -> bool:
    """Whether two runs of an arm have one chosen value though their seeds differ."""
    seen: dict[Hashable, Mapping[str, object]] = {}
    return any(
        seen.setdefault((arms[run], comparable(value)), own[run]) != own[run]
        for run, value in chosen.items()
        if value is not None
    )


def _numbered(chosen: Mapping[str, object], arms: Mapping[str, Hashable], *, together: bool) -> Seeds:
    """Whole numbers stay. Other seeds get the numbers after them, the same in every arm; then come runs without one."""
    whole = {run: value for run, value in chosen.items() if is_whole(value) and abs(value) <= _LARGEST}
    of = dict(whole)
    notes = []
    following = max(whole.values(), default=-1) + 1 if whole else 0
    strange = sorted(
        {comparable(v): v for r, v in chosen.items() if v is not None and r not in whole}.values(), key=repr
    )
    numbers = {comparable(value): following + place for place, value in enumerate(strange)}
    for run, value in chosen.items():
        if value is not None and run not in whole:
            of[run] = numbers[comparable(value)]
    if strange:
        kind = (
            "Only several seeds together tell runs apart" if together else "Some seeds are no whole numbers below 2**63"
        )
        shown = [f"{numbers[comparable(value)]} is {_words(value)}" for value in strange]
        notes.append(f"{kind}; they are numbered: {_listed(shown, ';')}.")
    following += len(strange)
    without = sorted(run for run, value in chosen.items() if value is None)
    taken: dict[Hashable, int] = {}
    for run in without:
        of[run] = following + taken.setdefault(arms[run], 0)
        taken[arms[run]] += 1
    if max(taken.values(), default=0) > 1:
        notes.append(
            f"{len(without)} runs name no seed. Those of an arm are numbered by their ids, so that none is left out; "
            "pairs of them are by chance. --seed-key KEY names the key of the seed."
        )
    return Seeds({run: of[run] for run in chosen}, tuple(notes))


def _words(value: object) -> str:
    if isinstance(value, tuple) and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return ", ".join(f"{key}={_words(item)}" for key, item in value)
    return str(value)


def _is_left_out_by_name(key: str, rule: ArmRule) -> bool:
    """Whether it is left out for its name alone: neither a seed, nor one of ours, nor on the user's word."""
    told = is_operational(key) or key in OF_FORK or rule.is_seed(key) or _fits_any(key, rule.ignore)
    return not told and rule.is_left_out(key)


def _differs_within(configs: Mapping[str, Config], arms: Mapping[str, Hashable], key: str) -> bool:
    first: dict[Hashable, Hashable] = {}
    return any(
        first.setdefault(arms[run], comparable(config.get(key))) != comparable(config.get(key))
        for run, config in configs.items()
    )


def _lonely(configs: Mapping[str, Config], arms: Mapping[str, Hashable], found: Seeds, rule: ArmRule) -> list[str]:
    """Keys that may split arms for nothing: every run is an arm of its own and has another value of the key.

    A sweep of K or of a learning rate with one seed is meant to be like this: there all seeds are equal.
    """
    count = len(configs)
    if len(set(arms.values())) < count or len(set(found.of.values())) < 2:
        return []
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    settings = [key for key in keys if not rule.is_left_out(key)]
    return [key for key in settings if len({comparable(config.get(key)) for config in configs.values()}) == count]


def _fits_any(key: str, patterns: Iterable[str]) -> bool:
    return any(_fits(key, pattern) for pattern in patterns)


def _fits(key: str, pattern: str) -> bool:
    """Whether a pattern is the key, its end or a section that holds it."""
    return any(fnmatchcase(key, form) for form in (pattern, f"*.{pattern}", f"{pattern}.*"))


def _near(pattern: str, keys: Sequence[str]) -> str:
    if not keys:
        return "none has a configuration"
    endings = dict.fromkeys(
        ".".join(parts[-n:]) for key in keys if (parts := key.split(".")) for n in range(1, len(parts) + 1)
    )
    close = hint(pattern, list(endings))
    return close if close.startswith("did") else f"the runs have {len(keys)} keys, such as {_listed(list(keys))}"


def _listed(words: Sequence[str], separator: str = ",") -> str:
    shown = f"{separator} ".join(words[:_SHOWN])
    return shown if len(words) <= _SHOWN else f"{shown} and {len(words) - _SHOWN} more"
