"""A sweep as a union of products: `sweep.parts`, and what the command line makes of it."""

from collections.abc import Mapping, Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from qae.errors import ConfigError

Part = Mapping[str, Sequence[object]]


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


def expand(arguments: Sequence[str], parts: Sequence[Part]) -> tuple[list[list[str]], str]:
    """The overrides of every job.

    A key of the parts that the command line names replaces all of them: the command line is then the sweep.
    Every other argument is combined with each part.

    Args:
        arguments: Hydra overrides as typed, sweeps (``seed=0,1``) included.
        parts: checked `sweep.parts`.

    Returns:
        one list of overrides a job, without duplicates, and a sentence that says which rule applied.
    """
    parser = OverridesParser.create()
    typed = parser.parse_overrides(list(arguments))
    keys = {override.key_or_group for override in typed}
    named = sorted(keys & {key for part in parts for key in part})
    if not parts:
        return _product(typed), "The sweep is what the command line says."
    if named:
        return _product(typed), f"The command line names {', '.join(named)}, so it replaces the default parts."
    jobs: dict[tuple[str, ...], None] = {}
    for part in parts:
        values = [f"{key}={','.join(map(str, values))}" for key, values in part.items()]
        for job in _product([*parser.parse_overrides(values), *typed]):
            jobs[tuple(job)] = None
    return [list(job) for job in jobs], f"The sweep is the union of {len(parts)} default parts (sweep.parts)."


def _product(overrides: list[Override]) -> list[list[str]]:
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [list(job) for job in jobs]
