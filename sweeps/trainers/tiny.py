"""The embedded trainer: DAPO on a CPU, in the worker's process (`qae.tiny`)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from qae.errors import ConfigError
from qae.tiny.config import TinyConfig
from sweeps.trainers.protocol import Attempt, Config, Trainer
from sweeps.tree import did_you_mean, known_keys
from sweeps.verl_overrides import OURS

_CHECKPOINT = re.compile(r"step-(\d+)\.pt")  # qae.tiny.checkpoint


class TinyTrainer(Trainer):
    """``backend: tiny``."""

    def check(self, config: Config, exists: Callable[[Path], bool]) -> None:  # noqa: ARG002  # it reads no file
        """Refuse values that the embedded trainer lacks, and keys outside all sections, which it would not read."""
        TinyConfig.from_mapping(config)
        known = {field.name for field in fields(TinyConfig) if field.init} | OURS
        for name in config:
            if name not in known:
                value = "…" if isinstance(config[name], Mapping) else config[name]
                hint = did_you_mean(name, known_keys()).strip() or "leave it out"
                raise ConfigError(name, value, f"the embedded trainer reads no such key; {hint}")

    def train(self, attempt: Attempt) -> int:
        """Compute on `resources.threads` threads, whatever the machine has.

        The order of additions, and with it the last bits of the numbers, depends on them.
        """
        import torch

        from qae.tiny.train import train

        torch.set_num_threads(self.threads(attempt.config))
        return train(
            TinyConfig.from_mapping(attempt.config),
            attempt.directory,
            cache=attempt.cache,
            on_step=attempt.on_step,
            should_stop=attempt.should_stop,
        )

    def gpus(self, config: Config) -> int:  # noqa: ARG002
        """None."""
        return 0

    def preload(self, config: Config) -> Sequence[str]:
        """The trainer, and what the first optimizer and the run's loss import, for seconds in each worker."""
        losses = ("verl.trainer.ppo.core_algos",) if _needs_verl(config) else ()
        return ("torch._dynamo", "qae.tiny.train", *losses)

    def packages(self, config: Config) -> Mapping[str, str]:
        """Torch, and verl where it has the run's loss."""
        names = ("torch", "verl") if _needs_verl(config) else ("torch",)
        return dict.fromkeys(names, "`make setup`")

    def checkpoints(self, folder: Path) -> Mapping[int, Path]:
        """Those of `qae.tiny.checkpoint`."""
        found = ((_CHECKPOINT.fullmatch(path.name), path) for path in folder.glob("step-*.pt"))
        return {int(match[1]): path for match, path in found if match}

    def scores_are_accuracies(self, config: Config) -> bool:  # noqa: ARG002
        """The embedded task shapes no rewards."""
        return True


def _needs_verl(config: Config) -> bool:
    return TinyConfig.from_mapping(config).actor.needs_verl
