"""The keys of a batch, which say what its sessions are, for our estimator in every trainer of verl's v1.

verl takes last outputs for its own ``grpo`` alone and hands no keys to other estimators (verl/trainer/ppo/v1/utils.py).
"""

import functools
from contextlib import nullcontext
from typing import TYPE_CHECKING

from verl.trainer.ppo.v1 import utils

from qae.verl_plugin.any_estimator import estimator_for
from qae.verl_plugin.estimator import NAME, during_sessions
from qae.verl_plugin.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verl import DataProto

_verls = utils.compute_advantage_for_multi_trajectories


@functools.wraps(_verls)
def compute_advantage_for_multi_trajectories(
    data: "DataProto",
    batch_keys: list[str],
    adv_estimator: object,
    gamma: float = 1.0,
    lam: float = 1.0,
    num_repeat: int = 1,
    norm_adv_by_std_in_grpo: bool = True,  # verl's signature
    config: "Mapping[str, object] | None" = None,
) -> "DataProto":
    """Verl's function; while it runs, our estimator knows the sessions."""
    chosen = estimator_for(adv_estimator, config)
    with during_sessions(Sessions.of_keys(batch_keys)) if chosen == NAME else nullcontext():
        return _verls(data, batch_keys, chosen, gamma, lam, num_repeat, norm_adv_by_std_in_grpo, config)


utils.compute_advantage_for_multi_trajectories = compute_advantage_for_multi_trajectories
