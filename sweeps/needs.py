"""What a composed configuration asks of the machine that runs it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from qae.checks import whole_number
from qae.wandb_environment import Mode
from sweeps import backends, tracking

GIB = 2**30

_GPUS_WHERE_NOTHING_SAYS = 8
# An actor's checkpoint by verl: float32 weights and Adam's two moments.
_CHECKPOINT_BYTES_A_PARAMETER = 12
_CHECKPOINT_BYTES_OF_UNKNOWN_MODEL = 2 * GIB
_TINY_RUN_BYTES = GIB // 10


@dataclass(frozen=True)
class Needs:
    """What a composed configuration asks of the machine.

    Attributes:
        model: label of the model.
        verl_trains: backend=verl.
        verl_imported: verl is needed, for training or for one of its losses.
        nodes, gpus: nodes of a run and GPUs on each.
        root: the run store.
        model_path: hub name or folder of the model; None for the embedded one.
        engine: package that generates on GPUs (vllm, sglang); None on a CPU.
        train_files, val_files: data files.
        train_batch_size: prompts of a step; None where verl's default holds.
        disk_bytes: that a run's checkpoints take.
        wandb: mode of W&B; None where it is off.
    """

    model: str
    verl_trains: bool
    verl_imported: bool
    nodes: int
    gpus: int
    root: Path
    model_path: str | None
    engine: str | None
    train_files: tuple[str, ...]
    val_files: tuple[str, ...]
    train_batch_size: int | None
    disk_bytes: int
    wandb: Mode | None

    @classmethod
    def of(cls, config: Mapping[str, object]) -> "Needs":
        """Read them off a resolved configuration.

        Raises:
            ConfigError: a value that makes no sense.
        """
        verl_trains = config.get("backend") == backends.Backend.VERL
        path = _at(config, "actor_rollout_ref.model.path")
        gpus = _gpus(config) if verl_trains and _at(config, "trainer.device") != "cpu" else 0
        return cls(
            model=str(_at(config, "labels.model")),
            verl_trains=verl_trains,
            verl_imported=verl_trains or backends.needs_verl(config),
            nodes=_whole(config, "resources.nodes", "trainer.nnodes", otherwise=1),
            gpus=gpus,
            root=Path(str(_at(config, "sweep.root"))).expanduser(),
            model_path=str(path) if verl_trains and path and not str(path).startswith("cache:") else None,
            engine=str(_at(config, "actor_rollout_ref.rollout.name") or "vllm") if gpus else None,
            train_files=_files(config, "data.train_files") if verl_trains else (),
            val_files=_files(config, "data.val_files") if verl_trains else (),
            train_batch_size=_whole(config, "data.train_batch_size", otherwise=0) or None,
            disk_bytes=_disk_bytes(config, str(path)) if gpus else _TINY_RUN_BYTES,
            wandb=_wandb(config),
        )


def _at(config: Mapping[str, object], key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _whole(config: Mapping[str, object], *keys: str, otherwise: int) -> int:
    """The first of the keys that is set."""
    for key in keys:
        value = _at(config, key)
        if value is None:
            continue
        return whole_number(key, value, 0)
    return otherwise


def _gpus(config: Mapping[str, object]) -> int:
    return _whole(config, "resources.gpus_per_node", "trainer.n_gpus_per_node", otherwise=_GPUS_WHERE_NOTHING_SAYS)


def _files(config: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = _at(config, key)
    files = [value] if isinstance(value, str) else cast("Sequence[object]", value or ())
    return tuple(str(file) for file in files if not str(file).startswith("cache:"))  # made when first needed


def _wandb(config: Mapping[str, object]) -> Mode | None:
    if not tracking.uses_wandb(config):
        return None
    return tracking.wandb_mode(str(_at(config, "tracking.mode")))


def _disk_bytes(config: Mapping[str, object], path: str) -> int:
    """Of the checkpoints that are kept, and the one that is being written."""
    sizes = re.findall(r"(\d+(?:\.\d+)?)[bB](?![a-zA-Z])", path.rsplit("/", maxsplit=1)[-1])
    parameters = float(sizes[0]) * 1e9 if sizes else 0.0
    each = int(parameters * _CHECKPOINT_BYTES_A_PARAMETER) or _CHECKPOINT_BYTES_OF_UNKNOWN_MODEL
    kept = _whole(config, "trainer.max_actor_ckpt_to_keep", otherwise=0)
    if not kept:
        frequency = _at(config, "trainer.save_freq")
        steps = _whole(config, "trainer.total_training_steps", otherwise=0)
        saves = isinstance(frequency, int) and frequency > 0
        kept = math.ceil(steps / cast("int", frequency)) if saves else 0
    return each * (kept + 1)
