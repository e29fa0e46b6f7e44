"""Paths of the form ``cache:…``: what is made locally, in the run store's cache, the first time it is needed."""

import fcntl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from qae.errors import ConfigError

PREFIX = "cache:"
_TRAINING_SET = "arithmetic-train.parquet"


def with_cached(config: Mapping[str, object], cache: Path) -> dict[str, object]:
    """The configuration with each ``cache:NAME`` replaced by the file or folder, which is there afterwards.

    Args:
        config: resolved.
        cache: folder of the run store's cache; shared by runs, so made under a lock.

    Raises:
        ConfigError: a name that nothing here makes.
    """
    return {key: _filled(key, value, cache) for key, value in config.items()}


def prompts_of(value: str) -> int | None:
    """Training prompts of a ``cache:NAME`` that is a generated set; None for all else."""
    from sweeps.data.arithmetic import DEFAULT_TRAIN_PROBLEMS

    return DEFAULT_TRAIN_PROBLEMS if value == f"{PREFIX}{_TRAINING_SET}" else None


def _filled(key: str, value: object, cache: Path) -> object:
    if isinstance(value, Mapping):
        return {name: _filled(f"{key}.{name}", item, cache) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(key, item, cache) for item in value]
    if isinstance(value, str) and value.startswith(PREFIX):
        return str(_made(key, value, cache))
    return value


def _made(key: str, value: str, cache: Path) -> Path:
    name = value.removeprefix(PREFIX)
    if name not in _MAKERS:
        raise ConfigError(key, value, f"choose one of {', '.join(PREFIX + known for known in _MAKERS)}")
    path = (cache / name).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _MAKERS[name](path)
    return path


def _random_model(shape: str, path: Path) -> None:
    from qae.verl_plugin import random_model

    temporary = path.with_name(f".{path.name}.tmp")
    random_model.make(temporary, getattr(random_model, shape))
    temporary.rename(path)


def _arithmetic(path: Path) -> None:
    from sweeps.data.files import ARITHMETIC, Request, prepare

    for _ in prepare([ARITHMETIC], Request(out=path.parent)):
        pass


_MAKERS: dict[str, Callable[[Path], None]] = {
    "qwen3-random-tiny": partial(_random_model, "TINY"),
    "qwen3-random-400m": partial(_random_model, "QWEN3_0_6B"),
    _TRAINING_SET: _arithmetic,
    "arithmetic-val.parquet": _arithmetic,
}
