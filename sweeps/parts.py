"""A sweep as a union of products: `sweep.parts`, and what the command line makes of it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from qae.errors import ConfigError

Part = Mapping[str, Sequence[object]]
_PLAIN_WORD = re.compile(r"[A-Za-z_][\w.\-]*")
_DEFAULT_NAME = "default"


@dataclass(frozen=True)
class Expansion:
    """What a command line comes to.

    Attributes:
        jobs: one list of overrides a job, without duplicates.
        rule: a sentence that says how they came about.
    """

    jobs: list[list[str]]
    rule: str


def checked_parts(parts: object) -> list[dict[str, list[object]]]:
    """Read `sweep.parts`.

    Raises:
        ConfigError: it is not a list of mappings from a key to a list of values.
    """
    fix = "give a list of mappings from a key to its list of values, e.g. [{seed: [0, 1]}]"
    if not isinstance(parts, list):
        raise ConfigError("sweep.parts", parts, fix)
    for part in parts:
        if not isinstance(part, dict) or not all(isinstance(values, list) and values for values in part.values()):
            raise ConfigError("sweep.parts", part, fix)
    return parts


def settled(typed: Sequence[Override]) -> list[str]:
    """The overrides that hold for every job: those from which the parts and the sweep's settings are read.

    Raises:
        ConfigError: a key that says what the sweep is was itself given several values.
    """
    for override in typed:
        key = override.key_or_group
        if override.is_sweep_override() and (key == "experiment" or key.startswith(("sweep.", "hydra"))):
            raise ConfigError(
                key, str(override.input_line).partition("=")[2], "it holds for the whole sweep; give one value"
            )
    return [str(override.input_line) for override in typed if not override.is_sweep_override()]


def expand(typed: Sequence[Override], parts: Sequence[Part], name: str, parser: OverridesParser) -> Expansion:
    """The overrides of every job.

    A key of the parts that the command line names replaces all of them: the command line is then the sweep, and
    it is named after the keys that it sweeps. Every other argument is combined with each part.

    Args:
        typed: the command line's overrides, sweeps (``seed=0,1``) included.
        parts: checked `sweep.parts`.
        name: `sweep.name`.
        parser: Hydra's.
    """
    named = sorted({override.key_or_group for override in typed} & {key for part in parts for key in part})
    if named or not parts:
        rule = (
            f"The command line names {', '.join(named)}, so it alone says what the sweep is (sweep.parts are left out)."
            if named
            else "The command line alone says what the sweep is."
        )
        return Expansion(_product([*typed, *_own_name(typed, named, name, parser)]), rule)
    jobs: dict[tuple[str, ...], None] = {}
    for part in parts:
        values = [f"{key}={','.join(map(_literal, values))}" for key, values in part.items()]
        for job in _product([*parser.parse_overrides(values), *typed]):
            jobs[tuple(job)] = None
    several = "parts" if len(parts) > 1 else "part"
    return Expansion([list(job) for job in jobs], f"The sweep is the union of {len(parts)} {several} (sweep.parts).")


def _own_name(typed: Sequence[Override], named: Sequence[str], name: str, parser: OverridesParser) -> list[Override]:
    if any(override.key_or_group == "sweep.name" for override in typed):
        return []
    keys = [override.key_or_group for override in typed if override.is_sweep_override()] or named
    words = [key.rsplit(".", 1)[-1].replace("/", "-") for key in keys]
    if name != _DEFAULT_NAME:
        words.insert(0, name)
    return parser.parse_overrides([f"sweep.name={'-'.join(words)}"]) if words else []


def _product(overrides: list[Override]) -> list[list[str]]:
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [list(job) for job in jobs]


def _literal(value: object) -> str:
    """A value of the YAML tree as Hydra's override grammar writes it."""
    if isinstance(value, str) and not _PLAIN_WORD.fullmatch(value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return value if isinstance(value, str) else json.dumps(value)
