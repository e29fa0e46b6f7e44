"""What each backend accepts and how a run of it is trained."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import cast

from qae.checks import is_whole, member
from qae.config import AdvantageConfig
from qae.errors import ConfigError
from qae.run_directory import RunDirectory
from qae.tiny.config import TinyConfig
from sweeps import guard
from sweeps.tree import did_you_mean, known_keys
from sweeps.verl_overrides import OURS

OnStep = Callable[[int, Mapping[str, float]], None]
# A sentence once the machines that a run computes on are gone; the argument: seconds to wait for it.
Lost = Callable[[float], str | None]


class Backend(StrEnum):
    """Who trains."""

    TINY = "tiny"
    VERL = "verl"


class TrainerKilledError(RuntimeError):
    """The trainer's process ended by a signal that nobody here sent; its text is one sentence."""


def check(config: Mapping[str, object], exists: Callable[[Path], bool] = Path.exists) -> None:
    """Refuse, at plan time, what the run's backend would refuse later.

    Args:
        config: resolved.
        exists: says whether a data file does; the runs of a plan share them, and the answers.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    seed = config.get("seed", 0)
    if not is_whole(seed):
        raise ConfigError("seed", seed, "give a whole number")
    algorithm = config.get("algorithm")
    AdvantageConfig.from_mapping(algorithm if isinstance(algorithm, Mapping) else {})
    guard.check(config)
    match _backend(config):
        case Backend.TINY:
            TinyConfig.from_mapping(config)
            _check_sections(config)
        case Backend.VERL:
            from sweeps import verl_rules

            sweep = cast("Mapping[str, object]", config.get("sweep", {}))
            verl_rules.check(config, exists=None if sweep.get("dry_run") is True else exists)


def _check_sections(config: Mapping[str, object]) -> None:
    """Refuse a key outside all sections, which the embedded trainer would not read."""
    known = {field.name for field in fields(TinyConfig) if field.init} | OURS
    for name in config:
        if name not in known:
            value = "…" if isinstance(config[name], Mapping) else config[name]
            hint = did_you_mean(name, known_keys()).strip() or "leave it out"
            raise ConfigError(name, value, f"the embedded trainer reads no such key; {hint}")


def check_machine(config: Mapping[str, object]) -> None:
    """Refuse what this machine cannot train, before a local launch writes anything.

    Raises:
        ConfigError: GPUs are wanted that are not here, or nodes without a Ray cluster over them.
    """
    if is_verl(config):
        from sweeps import verl_machine

        verl_machine.check(config)


def is_verl(config: Mapping[str, object]) -> bool:
    """Whether verl trains the run."""
    return _backend(config) is Backend.VERL


def total_steps(config: Mapping[str, object]) -> int:
    """Global steps that complete the run."""
    return int(cast("Mapping[str, int]", config["trainer"])["total_training_steps"])


def threads(config: Mapping[str, object]) -> int:
    """Threads that the run computes on."""
    return int(cast("Mapping[str, int]", config["resources"])["threads"])


def resources(config: Mapping[str, object]) -> str:
    """What the run computes on, in a few words."""
    trainer = cast("Mapping[str, object]", config["trainer"])
    if is_verl(config) and trainer.get("device") != "cpu":
        return f"{trainer.get('nnodes', 1)}x{trainer.get('n_gpus_per_node', 8)} GPUs"
    number = threads(config)
    return f"{number} thread" + ("" if number == 1 else "s")


def needs_verl(config: Mapping[str, object]) -> bool:
    """Whether the worker process itself imports verl; verl's own trainer has processes of its own."""
    return not is_verl(config) and TinyConfig.from_mapping(config).actor.needs_verl


def nothing_is_lost(_: float) -> None:
    """The `Lost` of a run that computes where its process is."""


def train(
    config: Mapping[str, object],
    directory: RunDirectory,
    cache: Path,
    on_step: OnStep,
    should_stop: Callable[[], bool],
    lost: Lost = nothing_is_lost,
) -> int:
    """Train a run, continuing where its directory stands; imports the backend.

    The embedded trainer computes on `resources.threads` threads, whatever the machine has: the order of additions,
    and with it the last bits of the numbers, depends on them.

    Returns:
        the last finished step.

    Raises:
        TrainerKilledError: verl's process or a machine was lost; the run can go on from its checkpoint.
    """
    check(config)
    if is_verl(config):
        from sweeps import verl_run

        return verl_run.train(config, directory, cache, on_step, should_stop, lost)
    import torch

    from qae.tiny.train import train as train_tiny

    torch.set_num_threads(threads(config))

    return train_tiny(TinyConfig.from_mapping(config), directory, cache=cache, on_step=on_step, should_stop=should_stop)


def _backend(config: Mapping[str, object]) -> Backend:
    return member(Backend, "backend", config.get("backend"))
