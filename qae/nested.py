"""Nested sections by dotted keys: ``trainer.save_freq`` is the key `save_freq` of the section `trainer`."""

from collections.abc import Iterator, Mapping
from typing import Any

from qae.errors import ConfigError


def value_of(config: Mapping[Any, object], key: str) -> object:
    """The value of a dotted key; None where the configuration lacks it."""
    value: object = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def section(config: Mapping[str, object], key: str) -> Mapping[str, object]:
    """The section of a dotted key; empty where the configuration lacks it.

    Raises:
        ConfigError: it is a value.
    """
    found = value_of(config, key)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigError(key, found, "it is a section; set a key of it")
    return found


def leaves(config: Mapping[Any, object]) -> Iterator[tuple[str, object]]:
    """Dotted keys and values. An empty section is a value, and so is a list."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{key}.{name}", leaf) for name, leaf in leaves(value))
        else:
            yield str(key), value


def keys(config: Mapping[Any, object]) -> Iterator[str]:
    """Dotted keys of sections and values."""
    for key, value in config.items():
        yield str(key)
        if isinstance(value, Mapping):
            yield from (f"{key}.{name}" for name in keys(value))
