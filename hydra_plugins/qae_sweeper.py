"""`hydra/sweeper=parts`: the union of products that `sweep.parts` lists; the logic is in `sweeps.composition.parts`.

What it shares with `hydra/sweeper=optuna` is here too: both make the launcher that the configuration names.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


@dataclass
class PartsSweeperConf:
    """Hydra's node for the sweeper."""

    _target_: str = "hydra_plugins.qae_sweeper.PartsSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="parts", node=PartsSweeperConf, provider="qae")


class LaunchingSweeper(Sweeper):
    """A sweeper that keeps what Hydra gives it, and makes the launcher."""

    def setup(self, *, hydra_context: "HydraContext", task_function: "TaskFunction", config: "DictConfig") -> None:
        """Keep what Hydra gives and make the launcher.

        Raises:
            ConfigError: a launcher that is not the toolkit's, so that no plan, lock or run directory would be made.
        """
        from hydra.core.plugins import Plugins

        from hydra_plugins.qae_launcher import SweepLauncher
        from qae.errors import ConfigError

        self._context = hydra_context
        self._config = config
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not isinstance(launcher, SweepLauncher):
            raise ConfigError("hydra/launcher", config.hydra.runtime.choices["hydra/launcher"], "give local or slurm")
        self._launcher: SweepLauncher = launcher


class PartsSweeper(LaunchingSweeper):
    """Expands the command line and the configured parts into jobs and hands them to the launcher at once."""

    def sweep(self, arguments: list[str]) -> "Sequence[JobReturn]":
        """Launch every job of the sweep."""
        from omegaconf import OmegaConf

        from sweeps.composition import ranges
        from sweeps.composition.arguments import repeated
        from sweeps.composition.parts import checked_parts, expand, settled

        loader = self._context.config_loader
        parser = ranges.parser(loader)
        typed = parser.parse_overrides(arguments)
        # An experiment brings its own parts.
        config = loader.load_sweep_config(self._config, settled(typed))
        parts = checked_parts(OmegaConf.to_container(config.sweep.parts))
        expansion = expand(typed, parts, str(config.sweep.name), parser)
        self._launcher.notes = [expansion.rule, *repeated(arguments)]
        return self._launcher.launch(expansion.jobs, initial_job_idx=0)
