"""Ranges of Hydra's override grammar as the numbers that a user would write.

Hydra adds up binary fractions: `range(0.1,0.5,0.1)` ends in 0.30000000000000004, which is another K, another run id and
another arm than 0.3, and `range(0.7,1.0,0.1)` reaches its stop. Here a range is counted in decimals.
"""

import math
import random
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from decimal import Decimal, localcontext

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, RangeSweep, Sweep, ValueType

from qae.errors import ConfigError

_MOST = 10_000
_DIGITS = 400  # more than the ends of any float are apart


class RangeError(ValueError):
    """A range that cannot be counted out; the text says what to write instead."""


def parser(loader: ConfigLoader | None = None) -> OverridesParser:
    """Hydra's parser, with a `sort` that keeps the numbers of a range.

    Hydra's own sorts `range(0,10,3)` backwards into 7, 4, 1, -2.
    """
    made = OverridesParser.create(config_loader=loader)
    hydras = made.functions.functions["sort"]

    def sort(*args: object, sweep: object = None, list: object = None, reverse: bool = False) -> object:  # noqa: A002  # as in the grammar
        alone = args[0] if len(args) == 1 else sweep
        if isinstance(alone, RangeSweep):
            return _sorted(alone, reverse=reverse)
        return hydras(*args, sweep=sweep, list=list, reverse=reverse)

    made.functions.functions["sort"] = sort
    return made


def numbers(sweep: RangeSweep) -> list[int | float]:
    """The numbers of a range in order: start, start + step, …, before the stop; whole ones where all three are.

    Raises:
        RangeError: there is none, there are too many, or an end is infinite or NaN.
    """
    start, stop, step = (0 if one is None else one for one in (sweep.start, sweep.stop, sweep.step))
    if not all(math.isfinite(one) for one in (start, stop, step)):
        raise RangeError("a range needs finite numbers")
    if step == 0:
        raise RangeError("a range needs a step other than 0")
    whole = all(isinstance(one, int) for one in (start, stop, step))
    with localcontext(prec=_DIGITS):
        # repr is the shortest text of a float: what the user typed, without the dust of its binary fraction.
        first, end, by = (Decimal(repr(one)) for one in (start, stop, step))
        count = math.ceil((end - first) / by)
        if count < 1:
            raise RangeError("the range is empty: its step leads away from its stop, or it stops where it starts")
        if count > _MOST:
            raise RangeError(f"the range has {count} numbers, more than {_MOST}")
        exact = [first + i * by for i in range(count)]
    return [int(one) for one in exact] if whole else [float(one) for one in exact]


def listed(typed: Sequence[Override]) -> list[Override]:
    """Overrides with each range written as the list of its numbers; what is no range stays.

    Raises:
        ConfigError: a range that cannot be counted out, or one among the values of a list.
    """
    return [_listed(override) for override in typed]


def _listed(override: Override) -> Override:
    value: object = override.value()
    if isinstance(value, Glob):
        options = list(override.sweep_iterator())
        if not options:
            raise _refused(override, "no option has such a name; list the values instead")
    if _holds_sweep(value.list if isinstance(value, ChoiceSweep) else value):
        raise _refused(override, "a range or a choice stands alone; list the values in its place")
    if not isinstance(value, RangeSweep):
        return override
    try:
        values = numbers(value)
    except RangeError as error:
        raise _refused(override, f"{error}; write range(start,stop,step), such as range(0.2,0.9,0.2)") from None
    if value.shuffle:
        random.shuffle(values)
    choice = ChoiceSweep(list=list(values), tags=value.tags)
    return replace(override, _value=choice, value_type=ValueType.CHOICE_SWEEP)


def _holds_sweep(value: object) -> bool:
    """Whether a sweep stands inside a list or a mapping."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(isinstance(one, Sweep | Glob) or _holds_sweep(one) for one in inner)


def _sorted(sweep: RangeSweep, *, reverse: bool) -> RangeSweep:
    values = numbers(sweep)
    turned = copy(sweep)
    turned.shuffle = False
    if reverse == (values[0] > values[-1]):
        return turned
    # The stop is not among the numbers: half a step beyond the last one nothing else is.
    turned.start, turned.step = values[-1], -sweep.step
    turned.stop = values[0] - 1 if isinstance(values[0], int) else values[0] - sweep.step / 2
    return turned


def _refused(override: Override, fix: str) -> ConfigError:
    return ConfigError(override.key_or_group, override.get_value_string(), fix)
