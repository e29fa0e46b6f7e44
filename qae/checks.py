"""Checks of configured values that many keys share. Python counts true and false as whole numbers; a user does not."""

from enum import StrEnum
from typing import TypeGuard, TypeVar

from qae.errors import ConfigError

_Member = TypeVar("_Member", bound=StrEnum)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, and not true or false."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number, infinities and NaN among them, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def boolean(key: str, value: object) -> bool:
    """The value of a key that is true or false.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(key, value, "give true or false")
    return value


def member(kind: type[_Member], key: str, value: object) -> _Member:
    """The member of a closed set that a key names.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return kind(value)  # type: ignore[arg-type]  # a non-string is no member and ends below
    except ValueError:
        raise ConfigError(key, value, f"choose one of {', '.join(kind)}") from None


def whole_number(key: str, value: object, least: int) -> int:
    """The value of a key that is a whole number.

    Raises:
        ConfigError: it is none, or lower than the least.
    """
    return _at_least(key, value, least, "")


def whole_number_or_null(key: str, value: object, least: int, meaning: str = "") -> int | None:
    """The value of a key that is a whole number or null.

    Args:
        key: dotted name.
        value: what was given.
        least: the lowest number that can be used.
        meaning: what null means, as it ends the sentence: " for no limit".

    Raises:
        ConfigError: it is neither, or lower than the least.
    """
    return None if value is None else _at_least(key, value, least, f", or null{meaning}")


def _at_least(key: str, value: object, least: int, otherwise: str) -> int:
    if not is_whole(value) or value < least:
        raise ConfigError(key, value, f"give a whole number of at least {least}{otherwise}")
    return value
