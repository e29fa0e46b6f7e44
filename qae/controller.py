"""K adapted during a run: the paper's future work ("dynamic K"), as small as it can be.

Torch-free, because the sweep validates it at plan time. What needs a batch's tensors is in `qae.updates.balance`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias, TypeVar

from qae.checks import is_number
from qae.errors import ConfigError

KEY = "algorithm.quantile_controller"


@dataclass(frozen=True)
class EntropyBand:
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
            _check_positive(field.name, getattr(self, field.name))
        if self.low > self.high:
            raise ConfigError(f"{KEY}.low", self.low, f"it must not be above {KEY}.high={self.high}")
        _check_bounds(self.k_low, self.k_high)

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


@dataclass(frozen=True)
class Balance:
    """K of each batch so that the mean advantage over its tokens is nearest to a target (`qae.updates.balance`).

    It acts on what moves entropy, the net advantage over tokens, before entropy has moved, and has no state.

    Attributes:
        target: of `qae/advantage_token_mean`; 0 pushes as much up as down.
        k_low, k_high: bounds of K, inside (0, 1).
    """

    target: float
    k_low: float
    k_high: float

    def __post_init__(self) -> None:
        if not is_number(self.target) or not math.isfinite(self.target):
            raise ConfigError(f"{KEY}.target", self.target, "give a number; 0 pushes as much up as down")
        for name in ("k_low", "k_high"):
            _check_positive(name, getattr(self, name))
        _check_bounds(self.k_low, self.k_high)


Controller: TypeAlias = EntropyBand | Balance
_Kind = TypeVar("_Kind", EntropyBand, Balance)


def from_mapping(values: object) -> Controller | None:
    """Read `algorithm.quantile_controller`; None, where the key is absent or null, is no controller.

    Raises:
        ConfigError: a key that is missing or unknown, or a value outside its limits.
    """
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise ConfigError(KEY, values, "choose controller=entropy_band or controller=balance")
    return _read(Balance, "balance", values) if "target" in values else _read(EntropyBand, "entropy_band", values)


def _read(kind: type[_Kind], option: str, values: Mapping[object, object]) -> _Kind:
    names = [field.name for field in fields(kind)]
    if unknown := [str(name) for name in values if name not in names]:
        raise ConfigError(f"{KEY}.{unknown[0]}", values[unknown[0]], f"controller={option} has {', '.join(names)}")
    if missing := [name for name in names if name not in values]:
        raise ConfigError(f"{KEY}.{missing[0]}", None, f"give a number; controller={option} sets all of them")
    return kind(**{name: values[name] for name in names})  # type: ignore[arg-type]  # __post_init__ refuses no numbers


def _check_positive(name: str, value: object) -> None:
    if not is_number(value) or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{KEY}.{name}", value, "give a number above 0")


def _check_bounds(k_low: float, k_high: float) -> None:
    if k_high >= 1:
        raise ConfigError(f"{KEY}.k_high", k_high, "give a number below 1: K = 1 would be the mean")
    if k_low > k_high:
        raise ConfigError(f"{KEY}.k_low", k_low, f"it must not be above {KEY}.k_high={k_high}")
