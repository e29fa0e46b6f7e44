"""`hydra/sweeper=optuna`: a search of the settings that the command line spans; the logic is in `sweeps.search`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore

from hydra_plugins.qae_sweeper import LaunchingSweeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.utils import JobReturn


@dataclass
class OptunaSweeperConf:
    """Hydra's node for the sweeper."""

    _target_: str = "hydra_plugins.qae_optuna_sweeper.OptunaSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="qae")


class OptunaSweeper(LaunchingSweeper):
    """Lets Optuna propose the jobs, one setting after the other, and runs them where the launcher says."""

    def sweep(self, arguments: list[str]) -> "Sequence[JobReturn]":
        """Search; the search's outcome is what the one job returns, and its runs are no jobs of Hydra's."""
        from hydra.core.utils import JobReturn, JobStatus, setup_globals

        from qae.console import terminal
        from sweeps.composition.compose import compose_jobs, resolved
        from sweeps.composition.parts import settled
        from sweeps.composition.ranges import parser
        from sweeps.search.command import search

        setup_globals()
        loader = self._context.config_loader
        typed = parser(loader).parse_overrides(arguments)
        config = resolved(loader.load_sweep_config(self._config, settled(typed)))
        outcome = search(
            typed,
            config,
            lambda jobs: compose_jobs(loader, self._config, jobs),
            self._launcher.executor,
            terminal.console(),
        )
        return [JobReturn(overrides=arguments, status=JobStatus.COMPLETED, _return_value=outcome)]
