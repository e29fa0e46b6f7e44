"""A search space in Hydra's override grammar: each key that is given several values is a parameter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from qae.checks import is_whole
from qae.errors import ConfigError
from qae.operational import is_operational
from sweeps.composition.ranges import RangeError, listed, numbers

Value: TypeAlias = int | float | str | bool | None
_TAGS = ("log", "int")


@dataclass(frozen=True)
class Parameter:
    """One key to search.

    Attributes:
        name: the dotted key, or the group.
        prefix: what stands before ``=`` in its override, such as ``++name``.
        distribution: Optuna's; the choices of a categorical one are the values as the grammar writes them.
    """

    name: str
    prefix: str
    distribution: BaseDistribution

    def override(self, value: Value) -> str:
        """The override that sets it; a value of a range is written without the dust of floating point."""
        if isinstance(self.distribution, FloatDistribution) and self.distribution.step is not None:
            low, step = Decimal(repr(self.distribution.low)), Decimal(repr(self.distribution.step))
            value = float(low + round((Decimal(repr(value)) - low) / step) * step)
        return f"{self.prefix}={value}"

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All values in order; None where there is no end of them."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return tuple(choices)
            case IntDistribution(low=low, high=high, step=step, log=False):
                return tuple(range(low, high + 1, step))
            case FloatDistribution(low=low, high=high, step=float(step)):
                return tuple(low + i * step for i in range(round((high - low) / step) + 1))
        return None

    @property
    def ends(self) -> tuple[Value, Value]:
        """The first and the last value."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[0], self.distribution.choices[-1]
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)  # noqa: S101  # `parameter` makes no other
        return self.distribution.low, self.distribution.high


def read(typed: Sequence[Override]) -> tuple[Parameter, ...]:
    """The parameters of a command line, in order; ``seed`` is none: its values are the seeds of every setting.

    Raises:
        ConfigError: values that cannot be searched, or no key with several values.
    """
    found = [parameter(one) for one in typed if one.is_sweep_override() and one.key_or_group != "seed"]
    if not found:
        raise ConfigError(
            "hydra/sweeper", "optuna", "name what to search, such as 'algorithm.quantile_k=interval(0.1,0.9)'"
        )
    return tuple(found)


def parameter(override: Override) -> Parameter:
    """A key with several values as a parameter.

    Raises:
        ConfigError: values that cannot be searched.
    """
    if is_operational(override.key_or_group.replace("/", ".")):
        raise _refused(override, "it changes no number of a run; give one value")
    sweep = override.value()
    match sweep:
        case ChoiceSweep():
            distribution = _of_choice(override, sweep)
        case RangeSweep():
            distribution = _of_range(override, sweep)
        case IntervalSweep():
            distribution = _of_interval(override, sweep)
        case _:
            raise _refused(override, "a search cannot use a glob; list the values with choice(…)")
    return Parameter(override.key_or_group, override.get_key_element(), distribution)


def seeds(typed: Sequence[Override], default: object) -> tuple[int, ...]:
    """The seeds that every setting is judged by: the command line's, or the configured one.

    Args:
        typed: the command line's overrides.
        default: the configuration's ``seed``.

    Raises:
        ConfigError: not a list of whole numbers.
    """
    for override in typed:
        if override.key_or_group == "seed" and override.is_sweep_override():
            if not (override.is_discrete_sweep() or isinstance(override.value(), RangeSweep)):
                raise _refused(override, "list the seeds, such as seed=0,1,2")
            (counted,) = listed([override])
            values = tuple(counted.sweep_iterator(lambda value: value))
            if not all(map(is_whole, values)):
                raise _refused(override, "seeds are whole numbers, such as seed=0,1,2")
            return tuple(dict.fromkeys(int(str(value)) for value in values))
    if not is_whole(default):
        raise ConfigError("seed", default, "give whole numbers, such as seed=0,1,2")
    return (default,)


def _of_choice(override: Override, sweep: ChoiceSweep) -> BaseDistribution:
    if sweep.tags:
        raise _refused(override, f"the tag {sorted(sweep.tags)[0]} is for intervals, not for a list of values")
    (counted,) = listed([override])
    choices = tuple(dict.fromkeys(counted.sweep_string_iterator()))
    return CategoricalDistribution(choices)


def _of_range(override: Override, sweep: RangeSweep) -> BaseDistribution:
    if sweep.tags:
        raise _refused(override, f"the tag {sorted(sweep.tags)[0]} is for intervals; a range has steps of its own")
    try:
        values = numbers(sweep)
    except RangeError as error:
        raise _refused(override, str(error)) from None
    first, last = sorted((values[0], values[-1]))
    if all(isinstance(number, int) for number in (sweep.start, sweep.step)):
        return IntDistribution(int(first), int(last), step=int(abs(sweep.step)))
    return FloatDistribution(float(first), float(last), step=float(abs(sweep.step)))


def _of_interval(override: Override, sweep: IntervalSweep) -> BaseDistribution:
    if unknown := sorted(sweep.tags - set(_TAGS)):
        raise _refused(override, f"the tag {unknown[0]} is not known; use {' or '.join(_TAGS)}")
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    whole = "int" in sweep.tags or all(isinstance(end, int) for end in (low, high))
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        raise _refused(override, "both ends must be finite numbers")
    if not low < high:
        raise _refused(override, "the first end must be below the second")
    if log and not low > 0:
        raise _refused(override, "on a logarithmic scale both ends must be above 0")
    if not whole:
        return FloatDistribution(float(low), float(high), log=log)
    if int(low) != low or int(high) != high:
        raise _refused(override, "with the tag int both ends must be whole numbers")
    return IntDistribution(int(low), int(high), log=log)


def _refused(override: Override, fix: str) -> ConfigError:
    return ConfigError(override.key_or_group, str(override.input_line).partition("=")[2], fix)
