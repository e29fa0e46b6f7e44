"""The words after `python sweep.py`: what Hydra would misread, or say in a page, is said here in a sentence."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.completion_plugin import CompletionPlugin

from qae.errors import ConfigError
from sweeps.composition import toolkit_keys, tree

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SPAN = re.compile(r"(\d+)\s*(-|:|\.\.+)\s*(\d+)")
_COMPLETIONS = ("install", "uninstall", "query")
_PLUS = re.compile(r"^\+*")


class MistypedError(ValueError):
    """A command line that cannot be read; the text is one sentence."""


def read(argv: Sequence[str]) -> list[str]:
    """The command line as Hydra reads it: as typed, or with the options first where they stand between overrides.

    Args:
        argv: the words after the program's name.

    Raises:
        MistypedError: an option that does not exist or has no use here, or a word that is no KEY=VALUE.
    """
    parser = get_args_parser()
    parser.error = _refuse  # argparse would print a page
    parser.allow_abbrev = False  # --experiment is no short form of --experimental-rerun
    found, unknown = parser.parse_known_intermixed_args(list(argv))
    overrides: list[str] = found.overrides
    if unknown:
        raise MistypedError(_unknown_option(unknown[0]))
    if found.experimental_rerun is not None:
        fix = "no run writes the file that it reads; the command of a run, typed again, continues it"
        raise MistypedError(f"--experimental-rerun={found.experimental_rerun} cannot be used: {fix}")
    if found.shell_completion:
        _check_completion(overrides)
    if found.config_path is not None and Path(found.config_path).suffix in (".yaml", ".yml"):
        file = Path(found.config_path)
        fix = f"it names a folder; write --config-path={file.absolute().parent} --config-name={file.stem}"
        raise MistypedError(f"--config-path={file} cannot be used: {fix}")
    for place, word in enumerate(overrides):
        _check(word, overrides[place - 1] if place else "", overrides[place + 1 : place + 3])
    if not parser.parse_known_args(list(argv))[1]:
        return list(argv)
    options: list[str] = []
    for name, value in vars(found).items():
        if name != "overrides" and value not in (None, False):
            options += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return [*options, *overrides]


def repeated(overrides: Sequence[str]) -> list[str]:
    """A sentence for each key that is given several values one after the other: in Hydra's grammar the last counts."""
    by_key: dict[str, list[str]] = {}
    for word in overrides:
        key, _, value = word.partition("=")
        by_key.setdefault(key.lstrip("+"), []).append(value)
    return [
        f"{key} is given {len(values)} times, and the last value counts, {values[-1]}; "
        f"for a run of each write {key}={','.join(values)} with -m."
        for key, values in by_key.items()
        if len(set(values)) > 1
    ]


def axis_hint(error: ConfigError) -> str:
    """What to add to a refusal where the value looks like several, or like a number in quotes; or nothing."""
    key, value = error.key, error.value
    if not re.match("give a|choose", error.fix):  # the key itself is wrong
        return ""
    if isinstance(value, list) and value and not any(isinstance(one, list | dict) for one in value):
        return _as_axis(key, map(str, value))
    return _hint_of_text(key, value.strip()) if isinstance(value, str) else ""


def _hint_of_text(key: str, text: str) -> str:
    if _NUMBER.fullmatch(text):
        return f"; it is text here: write {key}={text} without inner quotes"
    if span := _SPAN.fullmatch(text):
        end = int(span[3]) + (span[2] != ":")
        return f"; for a run of each number write '{key}=range({int(span[1])},{end})' with -m"
    parts = re.split(r"\s*[;|/]\s*|\s+", text)
    return _as_axis(key, parts) if len(parts) > 1 and all(map(_NUMBER.fullmatch, parts)) else ""


def _as_axis(key: str, values: Iterable[str]) -> str:
    return f"; for a run of each value write {key}={','.join(values)} with -m"


def unreadable(word: str) -> str:
    """Why a word cannot be read as KEY=VALUE, from how it looks."""
    value = word.partition("=")[2]
    bare = re.sub(r"\\.", "", value)
    for quote in "'\"":
        if bare.count(quote) % 2:
            return f"the quote {quote} is not closed"
    for opening, closing in ("()", "[]", "{}"):
        if bare.count(opening) != bare.count(closing):
            return f"{opening} and {closing} do not match"
    if bare.rstrip().endswith(",") or bare.lstrip().startswith(",") or ",," in bare:
        return "a value is missing beside a comma; write values as a,b,c without spaces"
    if bare.startswith("="):
        return "write one = between key and value"
    return "write KEY=VALUE without spaces, and text with other characters in quotes: \"key='a: b'\""


def _check_completion(overrides: Sequence[str]) -> None:
    asked = [word.partition("=") for word in overrides if word.partition("=")[0] in _COMPLETIONS]
    plugins = Plugins.instance().discover(CompletionPlugin)
    shells = sorted(plugin.provides() for plugin in plugins if issubclass(plugin, CompletionPlugin))
    if len(asked) != 1 or asked[0][2] not in shells:
        forms = " or ".join(f"{name}=SHELL" for name in _COMPLETIONS)
        raise MistypedError(f"--shell-completion needs one of {forms}, with a shell of {', '.join(shells)}")


def _refuse(message: str) -> NoReturn:
    raise MistypedError(f"{message}; `python sweep.py --help` shows what can be written")


def _unknown_option(word: str) -> str:
    name, equals, value = word.lstrip("-").partition("=")
    if name.lower().replace("-", "") in ("m", "multirun"):
        return f"{word} is no option; write -m for a run of each value"
    if name == "experiment" or tree.is_group(name):
        return f"{word} is no option; write {_group(name)}={value or '…'}"
    plain = name.replace("-", "_")
    key = _as_key(plain)
    how = "" if equals or key == "KEY" else " with an = and without dashes"
    return f"{word} is no option; write {key}={value or '…'}{how}"


def _check(word: str, before: str, after: Sequence[str]) -> None:
    """Refuse an override that would be misread.

    Args:
        word: the override.
        before: the word before it.
        after: the next two.
    """
    sign = _PLUS.match(word)[0]  # type: ignore[index]  # it matches nothing, too
    key, equals, value = word[len(sign) :].partition("=")
    if word.startswith("~"):
        _check_removal(word)
        return
    if not equals:
        raise MistypedError(_no_value(word, before, after))
    if not key:
        raise MistypedError(f"{word!r} has no key; write KEY=VALUE without spaces")
    if key != key.strip():
        raise MistypedError(f"{word!r} has a space before =; write {sign}{key.strip()}={value.strip()}")
    if not value.strip():
        following = f"; write {sign}{key}={after[0]} without spaces" if after and "=" not in after[0] else ""
        choose = f"; choose one of {', '.join(tree.options(key))}" if tree.is_group(key) else ""
        fix = following or choose or "; write null for none, or \"''\" for an empty text"
        raise MistypedError(f"{word} has no value{fix}")
    if tree.is_group(key):
        _check_group(sign, key, value)
    if (refusal := toolkit_keys.of_hydra(key, value)) is not None:
        raise MistypedError(str(ConfigError(key, value, refusal)))


def _check_removal(word: str) -> None:
    group, _, value = word[1:].partition("=")
    if tree.is_group(group) and value and not _is_text(value):
        raise MistypedError(f"{word} names no option; write ~{group} alone")


def _check_group(sign: str, group: str, value: str) -> None:
    for name in value.split(","):
        if not _is_text(name):
            choices = ", ".join(tree.options(group))
            raise MistypedError(f"{sign}{group}={value} names no option; choose one of {choices}")
    if value.startswith("["):
        fix = f"write {_group(group)}={value.strip('[]')} with -m for a run of each"
        raise MistypedError(f"{sign}{group}={value} would mix the options into one run; {fix}")
    if (sign == "+" and group != tree.EXPERIMENT and group in tree.chosen_groups()) or sign == "++":
        raise MistypedError(f"{sign}{group}={value} cannot be added; write {_group(group)}={value}")
    if not sign and group == tree.EXPERIMENT:
        raise MistypedError(f"{group}={value} needs a plus; write +{group}={value}")


def _is_text(value: str) -> bool:
    """Whether Hydra's grammar reads a value as text, and so as the name of an option; null and 1_000 are none."""
    try:
        read_so = OverridesParser.create().parse_override(f"key={value}")
        return read_so.is_sweep_override() or isinstance(read_so.value(), str)
    except HydraException:
        return True  # its own sentence says what is wrong


def _no_value(word: str, before: str, after: Sequence[str]) -> str:
    bare = word.lstrip("+")
    if after and after[0].startswith("="):
        value = after[0].lstrip("=") or (after[1] if len(after) > 1 else "…")
        return f"{word} stands without a value; write {word}={value} without spaces"
    if before.endswith(",") or word.startswith(","):
        return f"{word!r} stands alone; write {before.rstrip(',')},{word.lstrip(',')} without spaces"
    if match := re.fullmatch(r"([\w./@]+)\s*:\s*(\S.*)", word):
        return f"{word!r} is written as in YAML; write {match[1]}={match[2]}"
    if bare in ("m", "multirun"):
        return f"{word} is no KEY=VALUE; write -m for a run of each value"
    return f"{word!r} is no KEY=VALUE; write {_as_option(bare) or f'{_as_key(bare)}=…'}"


def _as_option(word: str) -> str | None:
    """The override that chooses an option which is named alone, or as group/option."""
    group, slash, option = word.rpartition("/")
    if slash:
        return f"{_group(group)}={option}" if tree.is_group(group) else None
    found = [name for name in tree.groups() if word in tree.options(name)]
    return f"{_group(found[0])}={word}" if found else None


def _as_key(word: str) -> str:
    return word if word in tree.known_keys() else tree.nearest(word, tree.known_keys()) or "KEY"


def _group(name: str) -> str:
    return f"+{name}" if name == tree.EXPERIMENT else name
