"""Configurations as dotted keys and values that can be compared, whatever a source holds them in.

Every mapping is opened, those inside lists too: ``{"layers": [{"type": "attn"}]}`` is ``layers.0.type``. What is left
can be hashed, so that runs can be grouped by it.
"""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

# A NaN is unlike itself; one object for all is found again in sets and tuples.
_NAN = math.nan
_ENDLESS = "…"  # a value that holds itself
_EMPTY = "{}"  # as an item of a list, whose length counts


def flatten(config: Mapping[Any, object]) -> dict[str, object]:
    """Dotted keys of a nested mapping, with values that can be hashed.

    Lists without mappings become tuples; lists with some are opened by position. A section that is empty says nothing
    and has no key. A key that is written twice, with dots and as a section, has both values, in a tuple.

    Args:
        config: as YAML, JSON or a Python program gives it: keys and values of any kind.
    """
    flat: dict[str, object] = {}
    for key, value in _leaves("", config, ()):
        known = flat.setdefault(key, value)
        if {comparable(known)} != {comparable(value)}:  # a set finds the NaN that is itself
            flat[key] = (known, value)
    return flat


def comparable(value: object) -> Hashable:
    """What two values have in common exactly if they set the same: 1 and 1.0 do, 1 and true do not.

    Args:
        value: one of `flatten`.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, tuple):
        return tuple(map(comparable, value))
    return value if isinstance(value, Hashable) else repr(value)


def _leaves(key: str, value: object, above: tuple[int, ...]) -> Iterator[tuple[str, object]]:
    """Dotted keys and values below a key; `above` are the containers that hold it."""
    if id(value) in above:
        yield key, _ENDLESS
        return
    inside = (*above, id(value))
    if isinstance(value, Mapping):
        items: Iterable[tuple[object, object]] = value.items()
    elif isinstance(value, list | tuple) and _holds_mappings(value, inside):
        items = ((place, _EMPTY if _is_empty(item) else item) for place, item in enumerate(value))
    else:
        yield key, _frozen(value, above)
        return
    for name, item in items:
        part = str(name).replace("/", ".")  # as some loggers write dotted keys
        yield from _leaves(f"{key}.{part}" if above else part, item, inside)


def _is_empty(value: object) -> bool:
    return isinstance(value, Mapping) and not value


def _holds_mappings(values: Iterable[object], above: tuple[int, ...]) -> bool:
    return any(
        isinstance(value, Mapping)
        or (isinstance(value, list | tuple) and id(value) not in above and _holds_mappings(value, (*above, id(value))))
        for value in values
    )


def _frozen(value: object, above: tuple[int, ...] = ()) -> object:
    """The value as something that can be hashed; numbers, texts and dates stay what they are."""
    if id(value) in above:
        return _ENDLESS
    plain = getattr(value, "tolist", None)  # numpy's arrays and scalars, torch's tensors
    if callable(plain):
        value = plain()
    if isinstance(value, float) and math.isnan(value):
        return _NAN
    if isinstance(value, list | tuple):
        return tuple(_frozen(item, (*above, id(value))) for item in value)
    if isinstance(value, set | frozenset):
        return tuple(sorted((_frozen(item) for item in value), key=repr))
    return value if isinstance(value, Hashable) else str(value)
