"""Values and keys as Hydra's command line writes them."""

import re
from collections.abc import Mapping, Sequence

from qae.errors import ConfigError

_KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z_/][\w/.-]*", re.ASCII)
_WORDS = frozenset({"null", "true", "false", "inf", "nan"})


def quoted(value: object) -> str:
    """A value in Hydra's override grammar; parsed and resolved it is the value again.

    Raises:
        ConfigError: a mapping inside a list with a key that the grammar does not know.
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _in_quotes(value)
        case Mapping():
            return "{" + ",".join(f"{checked(str(key))}:{quoted(item)}" for key, item in value.items()) + "}"
        case Sequence():
            return "[" + ",".join(quoted(item) for item in value) + "]"
    raise ConfigError("value", value, "give a number, text, true or false, null, a list or a mapping")


def _in_quotes(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    # OmegaConf would take ${…} for an interpolation; ours are resolved, so it is text.
    literal = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)
    return QuotedString(literal, Quote.single).with_quotes()


def checked(key: str, path: str | None = None) -> str:
    """The key.

    Args:
        key: one part of a dotted key.
        path: the whole dotted key, for the message.

    Raises:
        ConfigError: the grammar knows no such key.
    """
    if not _KEY.fullmatch(key) or key.lower() in _WORDS:
        raise ConfigError(path or key, "…", "verl's command line knows keys of letters, digits, _ and - only")
    return key
