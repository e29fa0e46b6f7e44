"""`sweep.dry_run`: whether a launch ends with its plan, and how the plan is shown."""

from collections.abc import Mapping
from enum import Enum

from qae.errors import ConfigError

_KEY = "dry_run"


class DryRun(Enum):
    """What a launch does with its plan."""

    NO = False  # it carries the plan out
    SHOWN = True
    AS_JSON = "json"  # for scripts


def of(config: Mapping[str, object]) -> DryRun:
    """What a configuration asks for; NO where it has no section `sweep`, as in a worker.

    Raises:
        ConfigError: another value.
    """
    sweep = config.get("sweep")
    value = sweep.get(_KEY) if isinstance(sweep, Mapping) else False
    if not isinstance(value, bool) and value != DryRun.AS_JSON.value:
        raise ConfigError(f"sweep.{_KEY}", value, "give true or false, or json for a plan that a script reads")
    return DryRun(value)
