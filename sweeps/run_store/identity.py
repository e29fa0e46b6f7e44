"""A run's identity: a hash of what it computes, and of nothing else.

The same computation has the same id in whatever sweep, launcher or machine. A default that changes its value
changes the id; a new key with a neutral default must not, so it is listed in `NEUTRAL`.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath

from qae.config import AdvantageConfig, AdvantageRule, QuantileOn
from qae.nested import leaves
from qae.operational import is_operational
from sweeps import trainers

# Data files count by name: where they lie differs between machines.
DATA_FILES = ("data.train_files", "data.val_files")
# Keys that count only where they differ from the value that stands for "not there".
NEUTRAL: dict[str, object] = {"data.reward_noise.flip": 0, "data.reward_noise.random": 0}

RULES_WITH_A_QUANTILE = (AdvantageRule.QUANTILE, AdvantageRule.POS_MASK, AdvantageRule.NEG_MASK)
_LENGTH = 12


def run_id(config: Mapping[str, object]) -> str:
    """First 12 hex digits of sha256 over the canonical JSON of what the run computes.

    Args:
        config: the resolved configuration.
    """
    canonical = json.dumps(identity(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_LENGTH]


def identity(config: Mapping[str, object]) -> dict[str, object]:
    """The dotted keys and canonical values that the id is made of.

    Numbers that are equal are the same (0.40 and 0.4, 1 and 1.0). Where K selects no quantile (outside (0, 1), or
    under a rule that has none) it is written as -1 and the definition of the quantile is left out; what the quantile
    is taken over is written only where that is not the score.
    """
    flat = ((key, _canonical(value)) for key, value in leaves(config))
    kept = {
        key: value for key, value in flat if not is_operational(key) and not (key in NEUTRAL and value == NEUTRAL[key])
    }
    algorithm = config.get("algorithm")
    if isinstance(algorithm, Mapping):
        advantage = AdvantageConfig.from_mapping(algorithm)
        takes_quantile = advantage.uses_quantile and advantage.rule in RULES_WITH_A_QUANTILE
        if not takes_quantile:
            kept.pop("algorithm.quantile_definition", None)
            kept["algorithm.quantile_k"] = -1
        selects_accuracy = takes_quantile and advantage.quantile_on is QuantileOn.ACCURACY
        if not selects_accuracy or trainers.of(config).scores_are_accuracies(config):
            kept.pop("algorithm.quantile_on", None)
    for key in DATA_FILES:
        if key in kept:
            kept[key] = _names(kept[key])
    return kept


def _names(files: object) -> object:
    if isinstance(files, list | tuple):
        return [_names(file) for file in files]
    return PurePath(files).name if isinstance(files, str) else files


def _canonical(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value
