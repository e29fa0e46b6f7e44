"""`hydra/sweeper=optuna`: a search of the settings that the command line spans; the logic is in `sweeps.search`."""

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
class OptunaSweeperConf:
    """Hydra's node for the sweeper."""

    _target_: str = "hydra_plugins.qae_optuna_sweeper.OptunaSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="qae")


class OptunaSweeper(Sweeper):
    """Lets Optuna propose the jobs, one setting after the other, and runs them where the launcher says."""

    def setup(self, *, hydra_context: "HydraContext", task_function: "TaskFunction", config: "DictConfig") -> None:
        """Keep what Hydra gives and make the launcher."""
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
        self._launcher = launcher

    def sweep(self, arguments: list[str]) -> "Sequence[JobReturn]":
        """Search; the result goes to `sweeps.app`, and there is no job of Hydra's."""
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from hydra.core.utils import setup_globals
        from rich.console import Console

        from sweeps import app
        from sweeps.compose import compose_jobs, resolved
        from sweeps.parts import settled
        from sweeps.search.command import search

        setup_globals()
        loader = self._context.config_loader
        typed = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
        config = resolved(loader.load_sweep_config(self._config, settled(typed)))
        outcome = search(
            typed,
            config,
            lambda jobs: compose_jobs(loader, self._config, jobs),
            self._launcher.executor,
            Console(),
        )
        app.record(outcome)
        return []
