"""What a command line's jobs are before they are planned."""

from collections.abc import Iterable, Mapping, Sequence

from qae.errors import ConfigError
from qae.nested import section
from sweeps.launching.plan import Job
from sweeps.worker import forks

_DEFAULT_NAME = "default"
_NOT_AXES = (
    "sweep.",
    "checkpoints.",
    "tracking",
    "resources",
    "slurm.",
    "site=",
    "guard",
    "hydra",
    "experiment",
    "labels.",
    "search.",
)


def typed(composed: Iterable[tuple[Sequence[str], Mapping[str, object]]], name: str | None = None) -> list[Job]:
    """The jobs of a command line.

    Args:
        composed: each job's overrides and resolved configuration, without Hydra's section.
        name: the sweep's name instead of the default.

    Raises:
        ConfigError: a fork, which is the guard's to make.
    """
    return [Job(axes(overrides), _checked(config, name)) for overrides, config in composed]


def axes(overrides: Sequence[str]) -> tuple[str, ...]:
    """Those overrides that say what is computed, not how or where."""
    return tuple(override for override in overrides if not override.lstrip("+").startswith(_NOT_AXES))


def _checked(config: Mapping[str, object], name: str | None) -> Mapping[str, object]:
    if forks.SECTION in config:
        fix = "leave it out; the guard writes it for a run that it forks"
        raise ConfigError(forks.SECTION, config[forks.SECTION], fix)
    sweep = section(config, "sweep")
    return {**config, "sweep": {**sweep, "name": name}} if name and sweep["name"] == _DEFAULT_NAME else config
