"""`hydra/launcher=local`: runs side by side on this machine; the logic is in `sweeps.launching.local`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from sweeps.launching.executor import Executor


@dataclass
class LocalLauncherConf:
    """Hydra's node for the launcher."""

    _target_: str = "hydra_plugins.qae_launcher.LocalLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="qae")


class SweepLauncher(Launcher):
    """Composes every job before the first starts, so that a wrong one stops the sweep while nothing has run."""

    notes: Sequence[str] = ()

    def executor(self, config: "Mapping[str, object]") -> "Executor":
        """The place to run.

        Args:
            config: of the sweep's first job, resolved.
        """
        raise NotImplementedError

    def setup(self, *, hydra_context: "HydraContext", task_function: "TaskFunction", config: "DictConfig") -> None:
        """Keep what Hydra gives."""
        self._context = hydra_context
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> "Sequence[JobReturn]":
        """Run the jobs and wait for them; each job's return value is the sweep's outcome."""
        from hydra.core.utils import JobReturn, JobStatus, setup_globals

        from qae.console import terminal
        from sweeps.composition.compose import compose_jobs
        from sweeps.launching import jobs
        from sweeps.launching.launch import launch

        setup_globals()
        composed = compose_jobs(self._context.config_loader, self._config, job_overrides)
        found = jobs.typed(zip(job_overrides, composed, strict=True))
        outcome = launch(found, self.executor(found[0].config), terminal.console(), self.notes)
        return [
            JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=outcome)
            for overrides in job_overrides
        ]


class LocalLauncher(SweepLauncher):
    """Runs side by side on this machine."""

    def executor(self, config: "Mapping[str, object]") -> "Executor":
        """As many workers as `resources.parallel` says."""
        from sweeps.launching.local import LocalExecutor, side_by_side

        return LocalExecutor(side_by_side(config))
