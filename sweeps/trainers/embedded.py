"""The embedded trainers: DAPO on a CPU, in the worker's process (`qae.embedded`)."""

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from qae.embedded.config import EmbeddedConfig
from qae.errors import ConfigError
from qae.tabular.config import TabularConfig
from qae.tiny.config import TinyConfig
from sweeps.composition.toolkit_keys import OURS
from sweeps.composition.tree import did_you_mean, known_keys
from sweeps.trainers.protocol import Attempt, Config, Trainer

_CHECKPOINT = re.compile(r"step-(\d+)\.pt")  # qae.embedded.checkpoint


class _EmbeddedTrainer(Trainer):
    """What the embedded trainers have in common."""

    @property
    @abstractmethod
    def schema(self) -> type[EmbeddedConfig]:
        """The sections that it reads."""

    def check(self, config: Config, exists: Callable[[Path], bool]) -> None:  # noqa: ARG002  # it reads no file
        """Refuse values that the trainer lacks, and keys outside all sections, which it would not read."""
        self.schema.from_mapping(config)
        known = {field.name for field in fields(self.schema) if field.init} | OURS
        for name in config:
            if name not in known:
                value = "…" if isinstance(config[name], Mapping) else config[name]
                hint = did_you_mean(name, known_keys()).strip() or "leave it out"
                raise ConfigError(name, value, f"the embedded trainer reads no such key; {hint}")

    def gpus(self, config: Config) -> int:  # noqa: ARG002
        """None."""
        return 0

    def packages(self, config: Config) -> Mapping[str, str]:
        """Torch, and verl where it has the run's loss."""
        names = ("torch", "verl") if self._needs_verl(config) else ("torch",)
        return dict.fromkeys(names, "`make setup`")

    def preload(self, config: Config) -> Sequence[str]:
        """The trainer and the run's loss, for seconds in each worker."""
        losses = ("verl.trainer.ppo.core_algos",) if self._needs_verl(config) else ()
        return (f"{self.schema.__module__.rpartition('.')[0]}.train", *losses)

    def checkpoints(self, folder: Path) -> Mapping[int, Path]:
        """Those of `qae.embedded.checkpoint`."""
        found = ((_CHECKPOINT.fullmatch(path.name), path) for path in folder.glob("step-*.pt"))
        return {int(match[1]): path for match, path in found if match}

    def scores_are_accuracies(self, config: Config) -> bool:  # noqa: ARG002
        """Their tasks shape no rewards."""
        return True

    def _needs_verl(self, config: Config) -> bool:
        return self.schema.from_mapping(config).actor.needs_verl

    def _computes_on(self, config: Config) -> None:
        """Compute on `resources.threads` threads, whatever the machine has.

        The order of additions, and with it the last bits of the numbers, depends on them.
        """
        import torch

        torch.set_num_threads(self.threads(config))


class TabularTrainer(_EmbeddedTrainer):
    """``backend: tabular``."""

    @property
    def schema(self) -> type[TabularConfig]:
        """With the section `tabular`."""
        return TabularConfig

    def train(self, attempt: Attempt) -> int:
        """See `qae.tabular.train`."""
        from qae.tabular.train import train

        self._computes_on(attempt.config)
        config = TabularConfig.from_mapping(attempt.config)
        return train(config, attempt.directory, on_step=attempt.on_step, should_stop=attempt.should_stop)


class TinyTrainer(_EmbeddedTrainer):
    """``backend: tiny``."""

    @property
    def schema(self) -> type[TinyConfig]:
        """With the section `tiny`."""
        return TinyConfig

    def train(self, attempt: Attempt) -> int:
        """See `qae.tiny.train`."""
        from qae.tiny.train import train

        self._computes_on(attempt.config)
        return train(
            TinyConfig.from_mapping(attempt.config),
            attempt.directory,
            cache=attempt.cache,
            on_step=attempt.on_step,
            should_stop=attempt.should_stop,
        )

    def preload(self, config: Config) -> Sequence[str]:
        """What the first optimizer of torch imports, too."""
        return ("torch._dynamo", *super().preload(config))
