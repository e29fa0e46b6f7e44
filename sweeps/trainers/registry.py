"""Trainers by name: `backend` of a configuration names one.

The toolkit's own are known by module, so that they are there in whatever way the toolkit is installed and a plan of
theirs reads no entry points. Any other name is that of an entry point in the group ``qae.trainers``, which an installed
package defines.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module, metadata

from qae.errors import ConfigError
from sweeps.composition.tree import did_you_mean
from sweeps.trainers.protocol import Trainer

GROUP = "qae.trainers"
_KEY = "backend"
_OURS: Mapping[str, tuple[str, str]] = {
    "tabular": ("sweeps.trainers.embedded", "TabularTrainer"),
    "tiny": ("sweeps.trainers.embedded", "TinyTrainer"),
    "verl": ("sweeps.verl.trainer", "VerlTrainer"),
}


def of(config: Mapping[str, object]) -> Trainer:
    """The trainer of a run.

    Raises:
        ConfigError: there is none of that name, two packages define it, or its package cannot be loaded.
    """
    name = config.get(_KEY)
    return _named(name if isinstance(name, str) else _point(name).name)


def package_of(config: Mapping[str, object]) -> str | None:
    """The distribution that defines the run's trainer; None for the toolkit's own.

    Raises:
        ConfigError: as `of`.
    """
    name = config.get(_KEY)
    return None if name in _OURS else _package(_point(name))


@cache
def _named(name: str) -> Trainer:
    if name in _OURS:
        module, kind = _OURS[name]
        return getattr(import_module(module), kind)()  # type: ignore[no-any-return]  # our own table
    point = _point(name)
    try:
        made = point.load()()
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        fix = f"its package, {_package(point)}, cannot be loaded ({why}); install it and what it needs again"
        raise ConfigError(_KEY, name, fix) from error
    if not isinstance(made, Trainer):
        fix = f"{point.value} of the package {_package(point)} is no sweeps.trainers.Trainer; docs/trainers.md has one"
        raise ConfigError(_KEY, name, fix)
    return made


def _point(name: object) -> metadata.EntryPoint:
    points = metadata.entry_points(group=GROUP)
    found = [point for point in points if point.name == name]
    if len(found) > 1:
        packages = " and ".join(sorted(_package(point) for point in found))
        raise ConfigError(_KEY, name, f"the packages {packages} both define it; uninstall one of them")
    if not found:
        names = sorted({*_OURS, *(point.name for point in points)})
        hint = did_you_mean(name, names) if isinstance(name, str) else ""
        raise ConfigError(_KEY, name, f"{hint}choose one of {', '.join(names)}; packages add others (docs/trainers.md)")
    return found[0]


def _package(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
