"""`hydra/launcher=slurm`: runs as job arrays of a Slurm cluster; the logic is in `slurm.executor`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore

from hydra_plugins.qae_launcher import SweepLauncher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sweeps.launching.executor import Executor


@dataclass
class SlurmLauncherConf:
    """Hydra's node for the launcher."""

    _target_: str = "hydra_plugins.qae_slurm_launcher.SlurmLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="slurm", node=SlurmLauncherConf, provider="qae")


class SlurmLauncher(SweepLauncher):
    """Runs on the cluster whose login node this is."""

    def executor(self, config: "Mapping[str, object]") -> "Executor":
        """What `slurm` and `resources` ask for."""
        from slurm.executor import SlurmExecutor

        return SlurmExecutor(config)
