"""Sections of a configuration as dataclasses, strictly: no key too many, no text where a number belongs."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedValueType,
    ValidationError,
)

from qae.checks import is_whole
from qae.errors import ConfigError
from qae.nested import value_of

_LISTS = (list[float], list[int])
_NUMBERS = (int, float, float | None, *_LISTS)


def integer(key: str, value: object) -> int:
    """A whole number.

    Raises:
        ConfigError: it is none.
    """
    if not is_whole(value):
        raise ConfigError(key, value, "give a whole number")
    return value


def section(name: str, schema: type, values: object) -> object:
    """A section of the configuration as its dataclass.

    Raises:
        ConfigError: an unknown or missing key, or a value of another type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(name, values, f"give the section's keys: {', '.join(f.name for f in fields(schema))}")
    _known_keys(name, schema, values)
    _check_numbers(name, schema, values)
    try:
        return _typed(schema, _Content(repr(values), values))
    except MissingMandatoryValue as error:
        raise ConfigError(f"{name}.{error.full_key}", None, "the embedded trainer needs this key") from None
    except (ValidationError, UnsupportedValueType, ConfigKeyError) as error:
        key = f"{name}.{error.full_key}"
        raise ConfigError(key, value_of(values, error.full_key or ""), str(error).splitlines()[0]) from None
    except OmegaConfBaseException as error:
        raise ConfigError(name, values, str(error).splitlines()[0]) from None


@dataclass(frozen=True)
class _Content:
    """A section's values, told apart by how they are written: 1, 1.0 and true are equal and not the same."""

    text: str
    values: Mapping[Any, object] = field(compare=False)


# The runs of a sweep have most sections in common.
@lru_cache(maxsize=256)
def _typed(schema: type, content: _Content) -> object:
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create(dict(content.values))))


def _known_keys(path: str, schema: type, values: Mapping[Any, object]) -> None:
    known = {f.name: f for f in fields(schema) if f.init}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {path}.{close[0]}?" if close else f"it knows {', '.join(known)}"
            raise ConfigError(f"{path}.{key}", value, f"the embedded trainer does not implement this key; {hint}")
        kind = known[key].type
        if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
            _known_keys(f"{path}.{key}", kind, value)


def _check_numbers(path: str, schema: type, values: Mapping[Any, object]) -> None:
    """Refuse what OmegaConf would turn into a number: text and true, whose run ids differ from the number's."""
    for f in fields(schema):
        if not f.init or f.name not in values:
            continue
        key, value = f"{path}.{f.name}", values[f.name]
        if isinstance(f.type, type) and is_dataclass(f.type) and isinstance(value, Mapping):
            _check_numbers(key, f.type, value)
        elif f.type in _NUMBERS:
            for one in value if isinstance(value, list) and f.type in _LISTS else [value]:
                if isinstance(one, str | bool | list | dict) or (isinstance(one, float) and not math.isfinite(one)):
                    raise ConfigError(key, value, "give a finite number, written as one and not as text")
