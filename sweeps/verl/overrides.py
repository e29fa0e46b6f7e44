"""A configuration as the command line of `python -m verl.trainer.main_ppo`."""

import shlex
from collections.abc import Mapping, Sequence

from qae.nested import leaves, value_of
from sweeps.composition import toolkit_keys
from sweeps.composition.grammar import checked, quoted
from sweeps.verl import source

# Seeds of verl: data order, mini-batches, vLLM, engine. `seed` sets each seed that the configuration does not set.
SEEDS = ("data.seed", "actor_rollout_ref.actor.data_loader_seed", "actor_rollout_ref.rollout.seed")
ENGINE_SEEDS = {"dp": "actor_rollout_ref.actor.fsdp_config.seed", "megatron": "actor_rollout_ref.actor.megatron.seed"}
PLUGIN = "qae.verl_plugin"
EXTERNAL_MODULES = "VERL_USE_EXTERNAL_MODULES"
EXPERIMENT_NAME = "trainer.experiment_name"


def engine(config: Mapping[str, object]) -> str:
    """The value of verl's `model_engine`; dp is FSDP."""
    return str(config.get("model_engine", "dp"))


def verl_values(config: Mapping[str, object]) -> dict[str, object]:
    """The part of verl in a resolved configuration as dotted keys and leaves, `seed` included.

    Raises:
        ConfigError: a key that cannot be written on a command line.
    """
    of_verl = {section: content for section, content in config.items() if section not in toolkit_keys.OURS}
    values = dict(leaves(of_verl))
    for key in values:
        for part in key.split("."):
            checked(part, key)
    if "seed" in config:
        own = (*SEEDS, ENGINE_SEEDS[engine(config)]) if engine(config) in ENGINE_SEEDS else SEEDS
        values = {**dict.fromkeys(own, config["seed"]), **values}
    return values


def verl_overrides(config: Mapping[str, object]) -> list[str]:
    """The overrides that turn verl's `ppo_trainer` configuration into the run's.

    Keys that verl's YAML lacks are added with ``++``; all others are plain, so that verl refuses a typing error too.

    Args:
        config: the resolved configuration of a run with ``backend: verl``.

    Raises:
        ConfigError: verl is missing or too old, or a key cannot be written on a command line.
    """
    defaults = source.find().defaults(engine(config))
    return [
        f"{'' if known(defaults, key) else '++'}{key}={quoted(value)}" for key, value in verl_values(config).items()
    ]


def environment(config: Mapping[str, object]) -> dict[str, str]:
    """Environment variables that the command needs."""
    variables = {EXTERNAL_MODULES: ",".join(modules(config))}
    if engine(config) == "megatron":
        variables["CUDA_DEVICE_MAX_CONNECTIONS"] = "1"  # Megatron overlaps communication by the order of launches
    return variables


def modules(config: Mapping[str, object]) -> list[str]:
    """What verl's processes import first: ours, and what the configuration names."""
    named = str(value_of(config, toolkit_keys.MODULES) or "").split(",")
    return list(dict.fromkeys(name for name in map(str.strip, [PLUGIN, *named]) if name))


def shell_command(config: Mapping[str, object]) -> str:
    """The run's command for a shell, one override per line.

    Args:
        config: as for `verl_overrides`. Its ``trainer.experiment_name`` must be the run's alone: verl continues from
            whatever checkpoint lies under that name.
    """
    return _shell(config, {})


def _shell(config: Mapping[str, object], variables: Mapping[str, str], *last: str) -> str:
    """Exports and command; keys in `variables` get the shell's variables of that name as values.

    Modules of the user's environment are imported beside ours, as `sweeps.verl.run` does.
    """
    of_the_user = f"${{{EXTERNAL_MODULES}:+,${EXTERNAL_MODULES}}}"
    exports = [
        f"export {name}={shlex.quote(value)}{of_the_user if name == EXTERNAL_MODULES else ''}"
        for name, value in environment(config).items()
    ]
    variables = {**variables, f"++{toolkit_keys.MODULES}": EXTERNAL_MODULES}
    words = []
    for override in verl_overrides(config):
        key, _, _ = override.partition("=")
        # Hydra's quotes, too: a list of modules has commas.
        words.append(f"\"{key}='${variables[key]}'\"" if key in variables else shlex.quote(override))
    command = " \\\n    ".join(["python -m verl.trainer.main_ppo", *words, *last])
    return "\n".join([*exports, command]) + "\n"


def shell_script(config: Mapping[str, object], overrides: Sequence[str]) -> str:
    """The run's command as a script that takes more overrides, which win.

    With more overrides the run is another, and so is its name: verl would continue from the first one's checkpoint.

    Args:
        config: as for `shell_command`.
        overrides: what made it, for its head.
    """
    made_by = shlex.join(["qae", "verl-command", "--script", *overrides])
    head = [
        "#!/usr/bin/env bash",
        f"# Written by `{made_by}`; `make scripts` writes it again.",
        "# More overrides may follow, and win: ++algorithm.quantile_k=0.4 for the K-quantile instead of the mean.",
        "set -euo pipefail",
        f"name={shlex.quote(str(value_of(config, EXPERIMENT_NAME)))}",
        "# Other overrides are another run. verl continues from the checkpoint that it finds under a run's name.",
        '[ $# -eq 0 ] || name+="-$(printf \'%s\\n\' "$@" | LC_ALL=C sort | sha256sum | cut -c1-12)"',
    ]
    return "\n".join(head) + "\n" + _shell(config, {EXPERIMENT_NAME: "name"}, '"$@"')


def known(defaults: Mapping[str, object], key: str) -> bool:
    """Whether verl's YAML has a key."""
    section: object = {**defaults, "model_engine": None}
    for part in key.split("."):
        if not isinstance(section, Mapping) or part not in section:
            return False
        section = section[part]
    return True
