"""``algorithm.quantile_k`` in verl's own trainers and recipes, whatever estimator they name.

The released code of the paper is run as ``main_dapo ++algorithm.quantile_k=0.4`` with the estimator ``grpo``, which
reads no K. And a recipe may hand no configuration to `compute_advantage` (verl-recipe, dapo/dapo_ray_trainer.py): no
estimator can read K then. Both would train the mean without a word.
"""

import functools
from typing import TYPE_CHECKING, Any

from verl.trainer.ppo import ray_trainer

from qae.config import AdvantageConfig
from qae.errors import ConfigError
from qae.verl_plugin.estimator import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verl import DataProto

_verls_compute_advantage = ray_trainer.compute_advantage
_verls_init = ray_trainer.RayPPOTrainer.__init__
_GRPO = "grpo"
_CHOOSE_K = ("quantile_controller", "quantile_k")
_made: dict[str, "Mapping[str, object]"] = {}  # the `algorithm` section of the trainer that this process made last


def estimator_for(named: object, algorithm: "Mapping[str, object] | None") -> object:
    """The estimator that trains what the configuration says.

    Args:
        named: ``algorithm.adv_estimator``.
        algorithm: the whole section, or None.

    Returns:
        ours for ``grpo`` with a quantile; otherwise the one that is named.

    Raises:
        ConfigError: a quantile, by K or by a controller of K, and an estimator that has none.
    """
    section = algorithm if algorithm is not None else {}
    asked = {name: section.get(name) for name in _CHOOSE_K if section.get(name) is not None}
    if named == NAME or not AdvantageConfig.from_mapping(asked).uses_quantile:
        return named
    if named != _GRPO:
        key = next(name for name in _CHOOSE_K if name in asked)
        name = getattr(named, "value", named)
        raise ConfigError(f"algorithm.{key}", asked[key], f"algorithm.adv_estimator={name} has no quantile; set {NAME}")
    return NAME


@functools.wraps(_verls_compute_advantage)
def compute_advantage(
    data: "DataProto",
    adv_estimator: object,
    gamma: float = 1.0,
    lam: float = 1.0,
    num_repeat: int = 1,
    norm_adv_by_std_in_grpo: bool = True,  # verl's signature
    config: "Mapping[str, object] | None" = None,
) -> "DataProto":
    """verl's, with the configuration of the trainer where a recipe gives none."""
    config = _made.get("algorithm") if config is None else config
    chosen = estimator_for(adv_estimator, config)
    return _verls_compute_advantage(data, chosen, gamma, lam, num_repeat, norm_adv_by_std_in_grpo, config)


@functools.wraps(_verls_init)
def _init(self: object, config: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # verl's signature
    _made["algorithm"] = config.algorithm
    _verls_init(self, config, *args, **kwargs)


ray_trainer.compute_advantage = compute_advantage
ray_trainer.RayPPOTrainer.__init__ = _init
