"""What the toolkit asks a trainer and gives it. Of the toolkit a trainer needs this and the run directory."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from qae.checks import whole_number_or_null
from qae.run_directory import RunDirectory

Config: TypeAlias = Mapping[str, Any]  # of a run, resolved, in plain containers
OnStep: TypeAlias = Callable[[int, Mapping[str, float]], None]
# A sentence once the machines that a run computes on are gone; the argument: seconds to wait for it.
Lost: TypeAlias = Callable[[float], str | None]


class TrainerKilledError(RuntimeError):
    """The trainer's process ended by a signal that nobody here sent; its text is one sentence. The run can go on."""


def nothing_is_lost(_: float) -> None:
    """The `Lost` of a run that computes in its own process and so loses no machine."""


@dataclass(frozen=True)
class Attempt:
    """What a trainer is given to train a run, from where the run's directory stands.

    Attributes:
        config: the run's, resolved; `Trainer.check` has passed it.
        directory: where metrics, evaluations and checkpoints go (docs/run_directory.md).
        cache: a folder that all runs of the store share, for what several of them start from. Runs write to it side by
            side, so a file in it is named by what it holds and written whole (`qae.run_directory.write_atomic`).
        on_step: to be told each step and its metrics once they are on disk; step 0 is the evaluated start.
        should_stop: to be asked after each step; once true, a checkpoint is written and training ends.
        lost: of a run that computes on other machines too; a sentence once one of them is gone.
    """

    config: Config
    directory: RunDirectory
    cache: Path
    on_step: OnStep
    should_stop: Callable[[], bool]
    lost: Lost = nothing_is_lost


@dataclass(frozen=True)
class Ray:
    """The Ray cluster that a launcher starts for a run.

    Attributes:
        nodes: machines; with one of them the trainer starts Ray itself.
        options: of Ray on each node: ``num_cpus``, ``num_gpus``, ``object_store_memory``.
        environment: of Ray's processes on each node.
    """

    nodes: int
    options: Mapping[str, object]
    environment: Mapping[str, str]


class Trainer(ABC):
    """A trainer. `check` and `train` are its own; the other answers are those of a trainer in the worker's process.

    An instance has no state and answers for any run of its name. All methods but `train` are asked on the way from the
    command line to the plan, so they import nothing heavy.
    """

    # Whether it trains in processes of its own, whose last words in the attempt's log say why a run failed.
    own_processes: ClassVar[bool] = False

    @abstractmethod
    def check(self, config: Config, exists: Callable[[Path], bool]) -> None:
        """Refuse, at plan time, what training would refuse later.

        Args:
            config: of the run, resolved. Seed, `algorithm` and `guard` are checked for all trainers.
            exists: says whether a local file does. Runs of a plan share the answers; for a plan that is only shown
                every file does.

        Raises:
            ConfigError: names the key, the value and the fix.
        """

    @abstractmethod
    def train(self, attempt: Attempt) -> int:
        """Train the run, continuing from its newest checkpoint.

        A continued run writes the steps after its checkpoint again. Their numbers are to be those of a run that was
        never interrupted, so random numbers are a function of seed and step, or lie in the checkpoint.

        Returns:
            the last finished step; fewer than `total_steps` only where `should_stop` said yes.

        Raises:
            TrainerKilledError: something else ended it; the run is left to be continued. With any other exception it
                has failed.
        """

    def check_machine(self, config: Config) -> None:  # noqa: B027  # any machine will do
        """Refuse what this machine cannot train, before a local launch writes anything.

        Raises:
            ConfigError: names the key, the value and the fix.
        """

    def total_steps(self, config: Config) -> int:
        """Global steps that complete the run."""
        return int(config["trainer"]["total_training_steps"])

    def threads(self, config: Config) -> int:
        """Threads that the run's own process computes on."""
        return int(config["resources"]["threads"])

    def nodes(self, config: Config) -> int:
        """Machines that the run computes on.

        Raises:
            ConfigError: the configuration gives no such number.
        """
        return whole_number_or_null("resources.nodes", _resource(config, "nodes"), 0) or 1

    def gpus(self, config: Config) -> int:
        """GPUs that the run takes on each node; 0 where it computes without.

        Raises:
            ConfigError: the configuration gives no such number.
        """
        return whole_number_or_null("resources.gpus_per_node", _resource(config, "gpus_per_node"), 0) or 0

    def cpus(self, config: Config) -> int | None:
        """CPUs that a job of Slurm asks for on each node, unless `slurm.cpus_per_task` says otherwise.

        With GPUs `resources.cpus_per_gpu` for each, else the threads. None leaves the number to the cluster.

        Raises:
            ConfigError: the configuration gives no such number.
        """
        if not (gpus := self.gpus(config)):
            return self.threads(config)
        each = whole_number_or_null("resources.cpus_per_gpu", _resource(config, "cpus_per_gpu"), 1)
        return None if each is None else gpus * each

    def takes_machine(self, config: Config) -> bool:
        """Whether a run fills a machine, so that local runs go one after the other.

        `resources.parallel` says otherwise.
        """
        return self.gpus(config) > 0

    def step_gpu_seconds(self, config: Config) -> float | None:  # noqa: ARG002
        """GPU seconds of a global step, about, for the plan; None without GPUs and where it is not known."""
        return None

    def preload(self, config: Config) -> Sequence[str]:  # noqa: ARG002
        """Modules that the process imports once from which local workers are forked, so that a run starts at once."""
        return ()

    def packages(self, config: Config) -> Mapping[str, str]:  # noqa: ARG002
        """Distributions that a run imports, each with how to install it; with ``ray`` among them Ray runs.

        `qae doctor` looks for them, and each attempt notes their versions.
        """
        return {}

    def files(self, config: Config) -> Mapping[str, Sequence[str]]:  # noqa: ARG002
        """Files and folders that a run reads, by the key that names them.

        Jobs of a cluster refuse relative ones. `qae doctor` looks into those of ``data.train_files`` and
        ``data.val_files``, which are in verl's form, and for the model of ``actor_rollout_ref.model.path``.
        """
        return {}

    def ray(self, config: Config, directory: RunDirectory) -> Ray | None:  # noqa: ARG002
        """The Ray cluster that a job of Slurm starts for the run over its nodes; None where it needs none."""
        return None

    def checkpoints(self, folder: Path) -> Mapping[int, Path]:  # noqa: ARG002
        """Complete checkpoints by step: a file or folder each, never written over.

        The guard's forks begin with a copy; without checkpoints a run cannot be forked.

        Args:
            folder: `RunDirectory.checkpoints`, which may not exist.
        """
        return {}

    def scores_are_accuracies(self, config: Config) -> bool:  # noqa: ARG002
        """Whether rewards are right or wrong and nothing else, so that `algorithm.quantile_on` changes no number."""
        return False


def _resource(config: Config, key: str) -> object:
    section = config.get("resources")
    return section.get(key) if isinstance(section, Mapping) else None
