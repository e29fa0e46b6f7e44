"""K adapted during a run to hold entropy in a band: the paper's future work ("dynamic K"), as small as it can be.

Torch-free, because the sweep validates it at plan time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from qae.checks import is_number
from qae.errors import ConfigError

KEY = "algorithm.quantile_controller"


@dataclass(frozen=True)
class QuantileController:
    """An integral controller of K in the logarithm of entropy, with bounds.

    A lower K gives more groups a baseline of their lowest score and lowers entropy, a higher K raises it (the paper's
    Fig. 9). So K falls while entropy is above the band, rises while it is below, and stays inside.

    Attributes:
        low, high: the band of the policy entropy, nats/token.
        gain: how much K moves in a step for each factor e by which entropy is outside the band.
        k_low, k_high: bounds of K, inside (0, 1).
    """

    low: float
    high: float
    gain: float
    k_low: float
    k_high: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not is_number(value) or not math.isfinite(value) or value <= 0:
                raise ConfigError(f"{KEY}.{field.name}", value, "give a number above 0")
        if self.low > self.high:
            raise ConfigError(f"{KEY}.low", self.low, f"it must not be above {KEY}.high={self.high}")
        if self.k_high >= 1:
            raise ConfigError(f"{KEY}.k_high", self.k_high, "give a number below 1: K = 1 would be the mean")
        if self.k_low > self.k_high:
            raise ConfigError(f"{KEY}.k_low", self.k_low, f"it must not be above {KEY}.k_high={self.k_high}")

    @classmethod
    def from_mapping(cls, values: object) -> Self | None:
        """Read `algorithm.quantile_controller`; None, where the key is absent or null, is no controller.

        Raises:
            ConfigError: a key that is missing or unknown, or a value outside its limits.
        """
        if values is None:
            return None
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping):
            raise ConfigError(KEY, values, f"choose controller=entropy_band, or give {', '.join(names)}")
        if unknown := [str(name) for name in values if name not in names]:
            raise ConfigError(f"{KEY}.{unknown[0]}", values[unknown[0]], f"the controller has {', '.join(names)}")
        if missing := [name for name in names if name not in values]:
            raise ConfigError(f"{KEY}.{missing[0]}", None, "give a number; controller=entropy_band sets all of them")
        return cls(**{name: values[name] for name in names})

    def next_k(self, k: float, entropy: float) -> float:
        """K for the step whose rollout batch has this entropy.

        Args:
            k: of the step before.
            entropy: of the policy that made the batch, nats/token; where it is not a positive number, as in a batch
                without a token, K stays.

        Returns:
            k - gain * ln(entropy / high) above the band, k - gain * ln(entropy / low) below it, within the bounds.
        """
        if not (math.isfinite(entropy) and entropy > 0):
            return k
        nearest = min(max(entropy, self.low), self.high)
        return min(max(k - self.gain * math.log(entropy / nearest), self.k_low), self.k_high)
