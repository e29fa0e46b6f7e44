"""A sweep as a union of products: `sweep.parts`, and how axes of the command line change the parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from qae.errors import ConfigError
from sweeps.composition.grammar import quoted
from sweeps.composition.ranges import listed

Part = Mapping[str, Sequence[object]]
_DEFAULT_NAME = "default"
_SEED = "seed"


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


def chosen(typed: Sequence[Override]) -> bool:
    """Whether the command line chooses the parts, by an experiment or as `sweep.parts`; else they are the default's."""
    return any(override.key_or_group in ("experiment", "sweep.parts") for override in typed)


def expand(typed: Sequence[Override], parts: Sequence[Part], name: str, parser: OverridesParser) -> Expansion:
    """The overrides of every job.

    Every argument is combined with each part. A key of the parts that the command line names replaces that axis in
    every part that has it; the others stay, and the sweep is named after the part and the key. Only the default
    sweep's parts give way altogether to any key but the seed: the command line is then the sweep, and named after the
    keys that it sweeps.

    Args:
        typed: the command line's overrides, sweeps (``seed=0,1``) included.
        parts: checked `sweep.parts`.
        name: `sweep.name`.
        parser: Hydra's.

    Raises:
        ConfigError: several values that cannot be counted out.
    """
    listed_out = [_enumerable(override) for override in listed(typed)]
    named = sorted({override.key_or_group for override in typed} & {key for part in parts for key in part})
    if not parts or (set(named) - {_SEED} and not chosen(typed)):
        rule = (
            f"The command line names {', '.join(named)}, so it alone says what the sweep is (sweep.parts are left out)."
            if named
            else "The command line alone says what the sweep is."
        )
        return Expansion(_product([*listed_out, *_own_name(typed, named, name, parser)]), rule)
    kept = [{key: values for key, values in part.items() if key not in named} for part in parts]
    own_name = _named_after([name, *named], parser) if named and not _names_the_sweep(typed) else []
    jobs: dict[frozenset[str], list[str]] = {}
    for part in kept:
        values = parser.parse_overrides([f"{key}={','.join(map(quoted, values))}" for key, values in part.items()])
        for job in _product([*values, *listed_out, *own_name]):
            jobs.setdefault(frozenset(job), job)
    return Expansion(list(jobs.values()), _rule(len(parts), named))


def _rule(parts: int, named: Sequence[str]) -> str:
    union = f"The sweep is the union of {parts} {'parts' if parts > 1 else 'part'} (sweep.parts)"
    if not named:
        return f"{union}."
    values = f"{', '.join(named)} {'has' if len(named) == 1 else 'have'} the values of the command line"
    return f"{union}, in which {values} instead of the parts' own; all other axes of the parts stay."


def _enumerable(override: Override) -> Override:
    if override.is_interval_sweep():
        fix = "an interval is for a search: add hydra/sweeper=optuna, or write range(start,stop,step)"
        raise ConfigError(override.key_or_group, override.get_value_string(), fix)
    return override


def _names_the_sweep(typed: Sequence[Override]) -> bool:
    return any(override.key_or_group == "sweep.name" for override in typed)


def _own_name(typed: Sequence[Override], named: Sequence[str], name: str, parser: OverridesParser) -> list[Override]:
    if _names_the_sweep(typed):
        return []
    keys = [override.key_or_group for override in typed if override.is_sweep_override()] or named
    return _named_after([name, *keys] if name != _DEFAULT_NAME else keys, parser)


def _named_after(names: Sequence[str], parser: OverridesParser) -> list[Override]:
    words = [name.rsplit(".", 1)[-1].replace("/", "-") for name in names]
    return parser.parse_overrides([f"sweep.name={'-'.join(words)}"]) if words else []


def _product(overrides: list[Override]) -> list[list[str]]:
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [list(job) for job in jobs]
