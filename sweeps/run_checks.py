"""What a configuration is checked for before it is a run, whoever trains it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from qae.checks import is_whole
from qae.config import AdvantageConfig
from qae.errors import ConfigError
from sweeps import guard, trainers


def check(config: Mapping[str, object], exists: Callable[[Path], bool] = Path.exists) -> None:
    """Refuse, at plan time, what the run's trainer would refuse later.

    Args:
        config: resolved.
        exists: says whether a data file does; the runs of a plan share them, and the answers. A dry run asks for none.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    check_method(config)
    sweep = config.get("sweep")
    dry_run = isinstance(sweep, Mapping) and sweep.get("dry_run") is True
    trainers.of(config).check(config, (lambda _: True) if dry_run else exists)


def check_method(config: Mapping[str, object]) -> None:
    """Refuse a seed, a rule or a guard that no trainer could use.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    seed = config.get("seed", 0)
    if not is_whole(seed):
        raise ConfigError("seed", seed, "give a whole number")
    algorithm = config.get("algorithm")
    AdvantageConfig.from_mapping(algorithm if isinstance(algorithm, Mapping) else {})
    guard.check(config)
