"""verl: its own trainer in processes of its own, on GPUs or on the development aid for CPUs (`sweeps.verl.run`)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qae.checks import whole_number
from qae.errors import ConfigError
from qae.nested import section, value_of
from qae.run_directory import RunDirectory
from sweeps import trainers
from sweeps.composition import toolkit_keys
from sweeps.trainers.protocol import Attempt, Config, Ray, Trainer
from sweeps.verl import checkpoints, machine, modes
from sweeps.verl.cache import PREFIX

_GPUS_WHERE_NOTHING_SAYS = 8  # verl's own default
_IMAGE = "train in verl's image, the package index has no set that fits (docs/gpu_install.md)"
_INSTALL = {"vllm": "`make setup-gpu` (docs/gpu_install.md)", "sglang": _IMAGE, "megatron": _IMAGE}
_MODEL = "actor_rollout_ref.model.path"


class VerlTrainer(Trainer):
    """``backend: verl``. The modules that read verl are imported where they are needed: most plans are without it."""

    own_processes = True

    def check(self, config: Config, exists: Callable[[Path], bool]) -> None:
        """Refuse what verl would refuse or misread, and values that the run would not have."""
        from sweeps.verl.rules import checking

        modes.check(config)
        checking.check(config, exists=exists)

    def train(self, attempt: Attempt) -> int:
        """Run verl and follow it."""
        from sweeps.verl import run

        return run.train(
            attempt.config, attempt.directory, attempt.cache, attempt.on_step, attempt.should_stop, attempt.lost
        )

    def check_machine(self, config: Config) -> None:
        """Refuse GPUs that are not here, and nodes without a Ray cluster over them."""
        machine.check(config)

    def nodes(self, config: Config) -> int:
        """`resources.nodes`, which `trainer.nnodes` repeats."""
        return _first_number(config, ("resources.nodes", "trainer.nnodes"), 1)

    def gpus(self, config: Config) -> int:
        """`resources.gpus_per_node`, which `trainer.n_gpus_per_node` repeats; 0 on a CPU."""
        if machine.on_cpu(config):
            return 0
        keys = ("resources.gpus_per_node", "trainer.n_gpus_per_node")
        return _first_number(config, keys, _GPUS_WHERE_NOTHING_SAYS)

    def takes_machine(self, config: Config) -> bool:  # noqa: ARG002
        """A whole machine's resources or more, on a CPU too."""
        return True

    def step_gpu_seconds(self, config: Config) -> float | None:
        """An estimate from the sizes in the configuration."""
        from sweeps.verl import cost

        return cost.step_gpu_seconds(config) if self.gpus(config) else None

    def packages(self, config: Config) -> Mapping[str, str]:
        """Verl, what it runs on, and on GPUs the engine that generates."""
        found = dict.fromkeys(("torch", "verl", "ray"), "`make setup`")
        if self.gpus(config):
            engine = str(value_of(config, "actor_rollout_ref.rollout.name") or "vllm")
            extra = engine if engine in ("vllm", "sglang") else "vllm"
            found[engine] = _INSTALL[extra]
            if machine.flash_attention(config):
                found["flash-attn"] = "install it as docs/gpu_install.md says, or do without at a cost: attention=sdpa"
            if value_of(config, "model_engine") == "megatron":
                found["megatron-core"] = _INSTALL["megatron"]
        return found

    def files(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Data files and the model, without those that are made when first needed."""
        found = {}
        for key in ("data.train_files", "data.val_files", _MODEL):
            value = value_of(config, key)
            named = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else ()
            given = tuple(str(one) for one in named if not str(one).startswith(PREFIX))
            if given or not named:
                found[key] = given
        return found

    def ray(self, config: Config, directory: RunDirectory) -> Ray | None:
        """Ray over the run's nodes, unless there is one already that the run joins."""
        from sweeps.verl import run

        if machine.joins_ray(config):
            return None
        environment = run.environment(config, directory)
        return Ray(machine.nodes(config), machine.ray_options(config), environment)

    def checkpoints(self, folder: Path) -> Mapping[int, Path]:
        """Those that verl wrote to their end."""
        return checkpoints.complete(folder)


def check_command(config: Config) -> None:
    """Refuse a run that a command of verl's could not train: `qae verl-command` prints one without the toolkit's part.

    Raises:
        ConfigError: another trainer trains the run, or verl would refuse it.
    """
    from sweeps.verl.rules import checking

    if not isinstance(trainers.of(config), VerlTrainer):
        raise ConfigError("backend", config["backend"], "choose one of verl's models with model=")
    checking.check(config, exists=None)


def named_by_run_id(config: Config) -> Config:
    """The run with its id at the end of ``trainer.experiment_name``, under which verl keeps and finds checkpoints.

    A name that somebody gave stays as it is.
    """
    from sweeps.run_store.identity import run_id
    from sweeps.verl.overrides import EXPERIMENT_NAME

    name = value_of(config, EXPERIMENT_NAME)
    if name != toolkit_keys.of_the_recipe(config)[EXPERIMENT_NAME]:
        return config
    return {**config, "trainer": {**section(config, "trainer"), "experiment_name": f"{name}-{run_id(config)}"}}


def _first_number(config: Config, keys: Sequence[str], otherwise: int) -> int:
    """The first of the keys that is set."""
    for key in keys:
        if (value := value_of(config, key)) is not None:
            return whole_number(key, value, 0)
    return otherwise
