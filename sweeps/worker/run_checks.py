"""Checks of a configuration before it becomes a run, for every trainer."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from qae.checks import is_whole
from qae.config import AdvantageConfig
from qae.errors import ConfigError
from sweeps import trainers
from sweeps.composition import dry_run
from sweeps.composition.dry_run import DryRun
from sweeps.worker import best, guard


def check(config: Mapping[str, object], exists: Callable[[Path], bool] = Path.exists) -> None:
    """Refuse, at plan time, what the run's trainer would refuse later.

    Args:
        config: resolved.
        exists: says whether a data file does; the runs of a plan share them, and the answers. A dry run asks for none.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    check_method(config)
    asks = dry_run.of(config) is DryRun.NO
    trainers.of(config).check(config, exists if asks else lambda _: True)


def check_installed(config: Mapping[str, object]) -> None:
    """Refuse a run whose packages this environment lacks, before anything is launched from it.

    Raises:
        ConfigError: names what is missing and how to install it.
    """
    for name, how in trainers.of(config).packages(config).items():
        if not _is_installed(name):
            fix = f"{name} is not installed in this environment: {how}"
            raise ConfigError("backend", config.get("backend"), fix)


@cache
def _is_installed(name: str) -> bool:
    """By its distribution, or by a module of its name where somebody put it on the path."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return find_spec(name.replace("-", "_")) is not None
    return True


def check_method(config: Mapping[str, object]) -> None:
    """Refuse a seed, a method, a guard or a choice of checkpoint that no trainer could use.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    seed = config.get("seed", 0)
    if not is_whole(seed):
        raise ConfigError("seed", seed, "give a whole number")
    algorithm = config.get("algorithm")
    AdvantageConfig.from_mapping(algorithm if isinstance(algorithm, Mapping) else {})
    guard.check(config)
    best.check(config)
