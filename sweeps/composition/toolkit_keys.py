"""Keys that the toolkit sets itself in every run, and those that nothing reads: a value of the user's is refused.

What a user writes is honoured or refused, never swallowed. Beside each key stands the toolkit's own way.
"""

from collections.abc import Mapping

from qae.errors import ConfigError
from qae.nested import keys, value_of
from sweeps.composition import tree

# Sections of ours; everything else is verl's.
OURS = frozenset(
    {
        "labels",
        "backend",
        "seed",
        "tabular",
        "tiny",
        "resources",
        "slurm",
        "tracking",
        "guard",
        "checkpoints",
        "fork",
        "sweep",
        "search",
        "hydra",
    }
)
# In `tracking`: W&B's mode as the launch found it; jobs elsewhere may find another one.
LAUNCH_MODE = "launch_mode"

_WHERE = "runs live in sweep.root, each in a directory named by its id; leave it out"
_ENVIRONMENT = "ray_kwargs.ray_init.runtime_env.env_vars"
RUN_DIRECTORY = f"{_ENVIRONMENT}.QAE_RUN_DIRECTORY"
MODULES = f"{_ENVIRONMENT}.VERL_USE_EXTERNAL_MODULES"

# Hydra's own keys that no launcher or sweeper of ours reads.
HYDRA: Mapping[str, str] = {
    "hydra.run.dir": _WHERE,
    "hydra.sweep.dir": _WHERE,
    "hydra.sweep.subdir": _WHERE,
    "hydra.job.chdir": _WHERE,
    "hydra.output_subdir": "a run directory has its config.yaml; leave it out",
    "hydra.job.name": "sweep.name names a sweep, its id a run",
}
_HYDRAS_OWN = "basic"  # runs jobs one by one in this process, without plan or store
PLUGINS: Mapping[str, tuple[str, ...]] = {"hydra/launcher": ("local", "slurm"), "hydra/sweeper": ("parts", "optuna")}

# Keys of verl that `sweeps.verl.run.command` sets in every run.
VERL: Mapping[str, str] = {
    "hydra.run.dir": _WHERE,
    "hydra.output_subdir": "a run directory has its config.yaml; leave it out",
    "trainer.default_local_dir": f"checkpoints lie in the run's own directory; {_WHERE}",
    "trainer.resume_mode": "a run goes on from its newest checkpoint with the same command; leave it out, and give "
    "another sweep.root to begin anew",
    "trainer.logger": "choose where metrics go with tracking=wandb or tracking=none",
    "trainer.experiment_name": "a run is named by its id; sweep.name names the sweep",
    RUN_DIRECTORY: _WHERE,
}
# Keys that reach verl without any effect, because of those above.
WITHOUT_EFFECT: Mapping[str, str] = {
    "trainer.resume_from_path": "a run goes on from its newest checkpoint; leave it out, and give the weights to begin "
    "with as actor_rollout_ref.model.path",
    "trainer.project_name": "set tracking.project",
    "trainer.wandb_proxy": "set the variable HTTPS_PROXY",
    "trainer.log_val_generations": "verl's own loggers are off; evaluation.jsonl of the run directory has the results, "
    "and trainer.validation_data_dir keeps the texts",
}
# Keys that a continued attempt alone sets.
OF_A_CONTINUED_RUN = frozenset({"trainer.val_before_train"})
# Keys that the command changes and honours: each run gets a folder of its own, modules are added.
HONOURED = frozenset({"trainer.rollout_data_dir", "trainer.validation_data_dir", MODULES})
_SECTIONS = ("checkpoints", "resources", "search", "slurm", "sweep", "tracking")
# Any name may stand in the first three; the launch writes the last one.
_OPEN = ("search.constraints", "slurm.attempts", "slurm.options", f"tracking.{LAUNCH_MODE}")


def of_hydra(key: str, value: str) -> str | None:
    """Why a key of Hydra's cannot be given, and what to write instead; None where it can.

    Args:
        key: as typed, without plus.
        value: as typed.
    """
    if key in PLUGINS and value == _HYDRAS_OWN:
        return f"choose one of {', '.join(PLUGINS[key])}"
    return HYDRA.get(key)


def check(config: Mapping[str, object]) -> None:
    """Refuse values that the run would not have, or nothing would read.

    Args:
        config: resolved, of a run that is to be planned.

    Raises:
        ConfigError: names the key, the value and the toolkit's way.
    """
    _check_own_sections(config)
    for key, fix in {**VERL, **WITHOUT_EFFECT}.items():
        value = value_of(config, key)
        if value is not None and value != of_the_recipe(config).get(key):
            raise ConfigError(key, value, f"the toolkit sets it; {fix}")


def _check_own_sections(config: Mapping[str, object]) -> None:
    for section in _SECTIONS:
        for key in keys({section: config.get(section)}):
            if key not in tree.known_keys() and not key.startswith(_OPEN):
                hint = tree.did_you_mean(key, [one for one in tree.known_keys() if one.startswith(f"{section}.")])
                raise ConfigError(
                    key, value_of(config, key), f"nothing reads this key; {hint.strip() or 'leave it out'}"
                )


def of_the_recipe(config: Mapping[str, object]) -> dict[str, object]:
    """What the tree itself gives those keys, for `qae verl-command`."""
    labels = f"{value_of(config, 'labels.model')}-{value_of(config, 'labels.regularizer')}"
    return {"trainer.project_name": "qae", "trainer.experiment_name": labels, "trainer.log_val_generations": 0}
