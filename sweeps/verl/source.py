"""verl's configuration and the names that it registers, read off the installed verl without importing it.

Importing verl takes a quarter of a minute and a gigabyte; a plan must not. Where verl is not installed, as in the light
environment of a login node, `RECORD` stands for the version that the toolkit is locked with.
"""

import ast
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import orjson

from qae.errors import ConfigError
from sweeps.composition.plain import plain

OLDEST = (0, 9, 1)
RECORD = Path(__file__).with_name("verl_0.9.1.json")


class Spec(Protocol):
    """What `importlib.util.find_spec` finds: where a package is."""

    @property
    def origin(self) -> str | None:
        """Its `__init__.py`."""


class Verl(Protocol):
    """What is known of a verl."""

    def defaults(self, engine: str) -> Mapping[str, object]:
        """The `ppo_trainer` configuration of verl, composed and resolved; values that must be set are "???".

        Args:
            engine: verl's `model_engine`: dp (FSDP), megatron, …

        Raises:
            ConfigError: verl has no such engine.
        """

    def loss_modes(self) -> tuple[str, ...]:
        """Names registered with `register_policy_loss`, in order of the source."""

    def estimators(self) -> tuple[str, ...]:
        """Values of the enumeration `AdvantageEstimator`, in order of the source."""

    def rollouts(self) -> tuple[str, ...]:
        """Names of the engines that generate, in order of the source (`verl/workers/rollout/base.py`)."""


@dataclass(frozen=True)
class RecordedVerl:
    """What `recorded` wrote down of a verl.

    Attributes:
        content: of the file.
    """

    content: Mapping[str, Any]

    def defaults(self, engine: str) -> Mapping[str, object]:
        """See `Verl`."""
        if engine not in self.content["defaults"]:
            raise _no_engine(engine, self.content["defaults"])
        found: Mapping[str, object] = self.content["defaults"][engine]
        return found

    def loss_modes(self) -> tuple[str, ...]:
        """See `Verl`."""
        return tuple(self.content["loss_modes"])

    def estimators(self) -> tuple[str, ...]:
        """See `Verl`."""
        return tuple(self.content["estimators"])

    def rollouts(self) -> tuple[str, ...]:
        """See `Verl`."""
        return tuple(self.content["rollouts"])


@dataclass(frozen=True)
class VerlSource:
    """An installed verl.

    Attributes:
        folder: of the package.
    """

    folder: Path

    def defaults(self, engine: str) -> Mapping[str, object]:
        """See `Verl`."""
        return _compose(self.folder / "trainer" / "config", engine)

    def loss_modes(self) -> tuple[str, ...]:
        """See `Verl`."""
        return _registered(self._core_algos, "register_policy_loss")

    def estimators(self) -> tuple[str, ...]:
        """See `Verl`."""
        return _enumeration(self._core_algos, "AdvantageEstimator")

    def rollouts(self) -> tuple[str, ...]:
        """See `Verl`."""
        return _engines(self.folder / "workers" / "rollout" / "base.py")

    def engines(self) -> Sequence[str]:
        """Values of `model_engine`."""
        return _choices(self.folder / "trainer" / "config")

    @property
    def _core_algos(self) -> Path:
        return self.folder / "trainer" / "ppo" / "core_algos.py"


@lru_cache(maxsize=1)
def find() -> Verl:
    """The installed verl, or the recorded one where none is installed.

    Raises:
        ConfigError: as `installed`.
    """
    return installed() or RecordedVerl(orjson.loads(RECORD.read_bytes()))


@lru_cache(maxsize=8)
def installed(
    find_spec: Callable[[str], Spec | None] = importlib.util.find_spec,
    version: Callable[[str], str] = metadata.version,
) -> VerlSource | None:
    """The installed verl; None where there is none.

    Raises:
        ConfigError: it is older than `OLDEST`.
    """
    wanted = ".".join(map(str, OLDEST))
    spec = find_spec("verl")
    if spec is None or spec.origin is None:
        return None
    found = version("verl")
    if _numbers(found) < OLDEST:
        raise ConfigError("backend", "verl", f"verl {found} is too old; install verl>={wanted}")
    return VerlSource(Path(spec.origin).parent)


def recorded(source: VerlSource) -> dict[str, object]:
    """What `RECORD` holds of a verl (`make verl-record`)."""
    return {
        "loss_modes": source.loss_modes(),
        "estimators": source.estimators(),
        "rollouts": source.rollouts(),
        "defaults": {engine: source.defaults(engine) for engine in source.engines()},
    }


def _no_engine(engine: str, choices: Iterable[str]) -> ConfigError:
    return ConfigError("model_engine", engine, f"choose one of {', '.join(sorted(choices))}")


def _choices(folder: Path) -> Sequence[str]:
    return sorted(path.stem.removesuffix("_actor") for path in (folder / "actor").glob("*_actor.yaml"))


def _numbers(version: str) -> tuple[int, ...]:
    leading = [part for part in version.split("+", maxsplit=1)[0].split(".")[:3] if part.isdigit()]
    return tuple(map(int, leading))


@lru_cache(maxsize=8)
def _compose(folder: Path, engine: str) -> Mapping[str, object]:
    from hydra import compose, initialize_config_dir
    from hydra.errors import ConfigCompositionException

    with _no_global_hydra(), initialize_config_dir(str(folder), version_base=None):
        try:
            composed = compose("ppo_trainer", overrides=[f"model_engine={engine}"])
        except ConfigCompositionException:
            raise _no_engine(engine, _choices(folder)) from None
    return plain(composed)


@contextmanager
def _no_global_hydra() -> Iterator[None]:
    """Set aside the Hydra that composes the sweep: only one can be registered at a time."""
    from hydra.core.global_hydra import GlobalHydra

    used = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = used


@lru_cache(maxsize=8)
def _registered(source: Path, decorator: str) -> tuple[str, ...]:
    return tuple(
        str(call.args[0].value)
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.FunctionDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == decorator
        and isinstance(call.args[0], ast.Constant)
    )


@lru_cache(maxsize=8)
def _enumeration(source: Path, name: str) -> tuple[str, ...]:
    return tuple(
        str(statement.value.value)
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.ClassDef) and node.name == name
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
    )


@lru_cache(maxsize=8)
def _engines(source: Path) -> tuple[str, ...]:
    """First elements of the keys of ``_ROLLOUT_REGISTRY``."""
    found = [
        key.elts[0].value
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        if any(isinstance(target, ast.Name) and target.id == "_ROLLOUT_REGISTRY" for target in node.targets)
        for key in node.value.keys
        if isinstance(key, ast.Tuple) and isinstance(key.elts[0], ast.Constant)
    ]
    return tuple(dict.fromkeys(map(str, found)))
