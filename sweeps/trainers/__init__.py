"""Who trains a run: what every trainer answers, and the trainers by name. docs/trainers.md shows how to add one."""

from sweeps.trainers.protocol import (
    Attempt,
    Config,
    Lost,
    OnStep,
    Ray,
    Trainer,
    TrainerKilledError,
    nothing_is_lost,
)
from sweeps.trainers.registry import GROUP, of, package_of

__all__ = [
    "GROUP",
    "Attempt",
    "Config",
    "Lost",
    "OnStep",
    "Ray",
    "Trainer",
    "TrainerKilledError",
    "nothing_is_lost",
    "of",
    "package_of",
]
