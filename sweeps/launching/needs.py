"""What a composed configuration asks of the machine that runs it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qae.checks import whole_number
from qae.nested import value_of
from qae.tracking.wandb_environment import Mode
from sweeps import trainers
from sweeps.run_store.identity import DATA_FILES
from sweeps.worker import best, tracking

GIB = 2**30

# An actor's checkpoint by verl: float32 weights and Adam's two moments.
_CHECKPOINT_BYTES_A_PARAMETER = 12
_CHECKPOINT_BYTES_OF_UNKNOWN_MODEL = 2 * GIB
_RUN_BYTES_WITHOUT_GPUS = GIB // 10
# The worker and the engine of a GPU, each with CUDA and its libraries.
_MEMORY_OF_A_GPUS_PROCESSES = 15 * GIB
# Token ids, log-probabilities, masks and scores, as they lie in the transfer queue and in the driver.
_ROLLOUT_BYTES_A_TOKEN = 100
_BATCHES_IN_FLIGHT = 3  # recipe/dapo: algorithm.filter_groups.max_inflight_gen_batches
_MEMORY_OF_RAY = 5 * GIB
_MODEL = "actor_rollout_ref.model.path"


@dataclass(frozen=True)
class Needs:
    """What a composed configuration asks of the machine.

    Attributes:
        model: label of the model.
        packages: distributions that the run imports, each with how to install it.
        nodes, gpus: nodes of a run and GPUs on each.
        root: the run store.
        model_path: hub name or folder of the model; None where the trainer has its own.
        data_files: data files of each key that names some.
        train_batch_size: prompts of a step; None where verl's default holds.
        cpus: of a node; None where the cluster decides.
        memory_bytes: main memory of a node; 0 where nobody knows.
        disk_bytes: that a run's checkpoints take.
        wandb: mode of W&B; None where it is off.
    """

    model: str
    packages: Mapping[str, str]
    nodes: int
    gpus: int
    root: Path
    model_path: str | None
    data_files: Mapping[str, tuple[str, ...]]
    train_batch_size: int | None
    cpus: int | None
    memory_bytes: int
    disk_bytes: int
    wandb: Mode | None

    @property
    def ray(self) -> bool:
        """Whether the run starts Ray."""
        return "ray" in self.packages

    @classmethod
    def of(cls, config: Mapping[str, object]) -> "Needs":
        """Read them off a resolved configuration.

        Raises:
            ConfigError: a value that makes no sense.
        """
        trainer = trainers.of(config)
        gpus, files = trainer.gpus(config), trainer.files(config)
        models = files.get(_MODEL, ())
        return cls(
            model=str(value_of(config, "labels.model")),
            packages=trainer.packages(config),
            nodes=trainer.nodes(config),
            gpus=gpus,
            root=Path(str(value_of(config, "sweep.root"))).expanduser(),
            model_path=models[0] if models else None,
            data_files={key: tuple(files[key]) for key in DATA_FILES if key in files},
            train_batch_size=_whole(config, "data.train_batch_size") or None,
            cpus=trainer.cpus(config),
            memory_bytes=memory_bytes(config),
            disk_bytes=disk_bytes(config),
            wandb=_wandb(config),
        )


def _whole(config: Mapping[str, object], key: str) -> int:
    """The key's number; 0 where it is not set."""
    value = value_of(config, key)
    return 0 if value is None else whole_number(key, value, 0)


def _wandb(config: Mapping[str, object]) -> Mode | None:
    if not tracking.uses_wandb(config):
        return None
    return tracking.wandb_mode(str(value_of(config, "tracking.mode")))


def disk_bytes(config: Mapping[str, object]) -> int:
    """Disk that the checkpoints of a run take: kept ones, the best one if wanted, and one more while it is written."""
    if not trainers.of(config).gpus(config):
        return _RUN_BYTES_WITHOUT_GPUS
    each = int(_parameters(config) * _CHECKPOINT_BYTES_A_PARAMETER) or _CHECKPOINT_BYTES_OF_UNKNOWN_MODEL
    kept = _whole(config, "trainer.max_actor_ckpt_to_keep")
    if not kept:
        frequency = value_of(config, "trainer.save_freq")
        steps = _whole(config, "trainer.total_training_steps")
        kept = math.ceil(steps / frequency) if isinstance(frequency, int) and frequency > 0 else 0
    return each * (kept + 1 + (best.wanted(config) is not None))


def memory_bytes(config: Mapping[str, object]) -> int:
    """Main memory of a node, about: what is offloaded to it, a checkpoint on its way, processes and rollouts.

    Returns:
        0 for a run without GPUs.
    """
    trainer = trainers.of(config)
    if not (gpus := trainer.gpus(config)):
        return 0
    states = 2 * _parameters(config) * _CHECKPOINT_BYTES_A_PARAMETER / trainer.nodes(config)
    responses = _whole(config, "data.train_batch_size") * _whole(config, "actor_rollout_ref.rollout.n")
    tokens = responses * (_whole(config, "data.max_prompt_length") + _whole(config, "data.max_response_length"))
    rollouts = _BATCHES_IN_FLIGHT * tokens * _ROLLOUT_BYTES_A_TOKEN
    return int(states) + gpus * _MEMORY_OF_A_GPUS_PROCESSES + rollouts + _MEMORY_OF_RAY


def _parameters(config: Mapping[str, object]) -> float:
    """All parameters of a model, by its name; 0 where the name does not say."""
    path = str(value_of(config, _MODEL))
    found = re.search(r"(\d+(?:\.\d+)?)([bBmM])(?![a-zA-Z])", path.rsplit("/", maxsplit=1)[-1])
    return float(found[1]) * {"b": 1e9, "m": 1e6}[found[2].lower()] if found else 0.0


def size(number: int) -> str:
    """Bytes in GiB."""
    return f"{number / GIB:.1f} GiB" if number < 10 * GIB else f"{number / GIB:,.0f} GiB"
