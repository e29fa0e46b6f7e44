"""What verl would refuse or silently misread in a run, said before anything is submitted.

Values are checked against the installed verl's own YAML and source, neither of which is imported.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qae.checks import boolean, is_number
from qae.errors import ConfigError
from qae.nested import keys
from sweeps.verl import modes, source
from sweeps.verl.overrides import engine, verl_values
from sweeps.verl.rules import learning, settings
from sweeps.verl.values import ESTIMATOR, UNSET, Run

# Keys of ours in verl's `algorithm` section: the estimator reads them.
OUR_ALGORITHM_KEYS = ("quantile_k", "quantile_definition", "quantile_on", "quantile_controller", "advantage")
OUR_LOSS_MODES = ("bapo",)
DEVICES = ("cuda", "cpu")  # the second one for the development aid; nobody has tried the toolkit on others
CPU_ROLLOUT = "hf_cpu"
LOSS_AGGREGATIONS = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm")
KL_ESTIMATORS = ("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3", "full")

_A, _R = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
# Sections that verl hands on to other libraries, or reads key by key: any key may stand there.
_OPEN = (
    "reward.reward_kwargs",
    "reward.custom_reward_function.reward_kwargs",
    "ray_kwargs.ray_init",
    f"{_A}.fsdp_config.wrap_policy",
    f"{_A}.megatron.override_transformer_config",
    "actor_rollout_ref.ref.megatron.override_transformer_config",
)


def check(config: Mapping[str, object], *, exists: Callable[[Path], bool] | None) -> None:
    """Refuse a run that verl could not train as it is written.

    Args:
        config: resolved, with ``backend: verl``.
        exists: says whether a local data file does; None: they need not.

    Raises:
        ConfigError: verl is missing or too old; an unknown key or name; values that do not go together.
    """
    verl = source.find()
    run = Run(verl_values(config), verl.defaults(engine(config)))
    _check_keys(run)
    _check_names(run, verl)
    for rule in (learning.finite, *settings.RULES, *modes.RULES, *learning.RULES):
        rule(run)
    if exists is not None:
        _check_files(run, exists)


def _check_keys(run: Run) -> None:
    for key, value in run.values.items():
        section, _, rest = key.partition(".")
        if key == "model_engine" or (section == "algorithm" and rest.partition(".")[0] in OUR_ALGORITHM_KEYS):
            continue
        place = _place(run.defaults, key)
        if place is None:
            names = [*keys(run.defaults), *(f"algorithm.{name}" for name in OUR_ALGORITHM_KEYS)]
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {close[0]}?" if close else "`qae verl-command` prints what a run sets"
            raise ConfigError(key, value, f"verl has no such key; {hint}")
        _check_kind(key, value, place)


@dataclass(frozen=True)
class _Place:
    """Where a key stands: verl's default, or None in a section that is open."""

    default: object


def _place(defaults: Mapping[str, object], key: str) -> _Place | None:
    if any(key == section or key.startswith(f"{section}.") for section in _OPEN):
        return _Place(None)
    section: object = defaults
    for part in key.split("."):
        if isinstance(section, Mapping) and section:
            if part not in section:
                return None
            section = section[part]
        elif section is None or isinstance(section, Mapping):  # verl's null or {}: to be filled by the user
            return _Place(None)
        else:
            return None
    return _Place(section)


def _check_kind(key: str, value: object, place: _Place) -> None:
    default = place.default
    if isinstance(default, bool):
        boolean(key, value)
    elif isinstance(default, int | float):
        if value is not None and not is_number(value):
            raise ConfigError(key, value, "give a number")
    elif isinstance(default, Mapping) and default and not isinstance(value, Mapping):
        raise ConfigError(key, value, f"this is a section; it has {', '.join(map(str, default))}")


def _check_names(run: Run, verl: source.Verl) -> None:
    closed: dict[str, Sequence[str]] = {
        f"{_A}.policy_loss.loss_mode": (*verl.loss_modes(), *OUR_LOSS_MODES),
        "algorithm.adv_estimator": (ESTIMATOR, *verl.estimators()),
        modes.KEY: (*modes.OF_VERL, *modes.OURS),
        "trainer.device": DEVICES,
        f"{_R}.name": (*verl.rollouts(), CPU_ROLLOUT, UNSET),
        f"{_A}.loss_agg_mode": LOSS_AGGREGATIONS,
        f"{_A}.kl_loss_type": [*KL_ESTIMATORS, *(f"{name}+" for name in KL_ESTIMATORS)],
    }
    for key, choices in closed.items():
        value = str(run.get(key))
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(key, run.get(key), f"{hint}choose one of {', '.join(choices)}")


def _check_files(run: Run, exists: Callable[[Path], bool]) -> None:
    for key in ("data.train_files", "data.val_files"):
        value = run.get(key)
        for file in value if isinstance(value, list | tuple) else [value]:
            if (
                not str(file).startswith(("cache:", "hdfs:"))
                and "://" not in str(file)
                and not exists(Path(str(file)).expanduser())
            ):
                raise ConfigError(
                    key,
                    file,
                    "there is no such file; `qae data prepare` writes it, $QAE_DATA says where it is looked for",
                )
