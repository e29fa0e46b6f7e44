"""The method's axis as a record: which advantage, which K, which definition of the quantile.

Torch-free, because the sweep validates it at plan time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from qae import controller as controllers
from qae.checks import boolean, is_number, member
from qae.controller import KEY as CONTROLLER_KEY
from qae.controller import Balance, Controller, EntropyBand
from qae.errors import ConfigError


class AdvantageRule(StrEnum):
    """How scores of a group become advantages."""

    QUANTILE = "quantile"  # the paper's eq. 3 for 0 < K < 1, otherwise GRPO's mean
    TOKEN_MEAN = "token_mean"  # noqa: S105  # OPO (arXiv 2505.23585): the mean weighted by response length
    MEDIAN = "median"  # MC-GRPO (arXiv 2601.22582): median baseline, pivot response dropped
    POS_MASK = "pos_mask"  # eq. 7: positives masked on easy groups, negatives everywhere
    NEG_MASK = "neg_mask"  # eq. 8: negatives masked on hard groups, positives everywhere
    POSITIVE_ONLY = "positive_only"  # PSR (arXiv 2506.01347)
    NEGATIVE_ONLY = "negative_only"  # NSR (arXiv 2506.01347)


class QuantileDefinition(StrEnum):
    """Which K-quantile of an empirical distribution."""

    INVERSE_CDF = "inverse_cdf"  # the paper: inf{x : F(x) >= K}
    LINEAR = "linear"  # the released code: torch.quantile's interpolation


class QuantileOn(StrEnum):
    """What the K-quantile of a group is taken over."""

    SCORE = "score"  # the released code: the shaped score that is also the reward
    ACCURACY = "accuracy"  # correctness; what shaping adds to the score is added to the advantage's numerator after


@dataclass(frozen=True)
class AdvantageConfig:
    """The `algorithm.*` keys that decide the advantage.

    Attributes:
        quantile_k: K; 0 < K < 1 selects the K-quantile, any other number GRPO's mean, exactly.
        rule: see `AdvantageRule`.
        definition: see `QuantileDefinition`.
        norm_by_std: divide by the group's standard deviation (verl's ``norm_adv_by_std_in_grpo``).
        quantile_on: see `QuantileOn`; without effect where K selects no quantile.
        controller: adapts K during the run; an entropy band from `quantile_k` on. None: K stays.
    """

    quantile_k: float = -1.0
    rule: AdvantageRule = AdvantageRule.QUANTILE
    definition: QuantileDefinition = QuantileDefinition.INVERSE_CDF
    norm_by_std: bool = True
    quantile_on: QuantileOn = QuantileOn.SCORE
    controller: Controller | None = None

    def __post_init__(self) -> None:
        if not is_number(self.quantile_k):
            raise ConfigError(
                "algorithm.quantile_k",
                self.quantile_k,
                "give a number; 0 < K < 1 is the K-quantile, anything else (default -1) the mean",
            )
        if math.isnan(self.quantile_k):
            raise ConfigError(
                "algorithm.quantile_k", self.quantile_k, "NaN is neither a quantile nor the mean; give a number"
            )
        if self.rule in (AdvantageRule.POS_MASK, AdvantageRule.NEG_MASK) and not self.uses_quantile:
            raise ConfigError(
                "algorithm.quantile_k", self.quantile_k, f"algorithm.advantage={self.rule} needs 0 < K < 1"
            )
        if self.controller is not None:
            self._check_controller(self.controller)

    def _check_controller(self, controller: Controller) -> None:
        if self.rule is not AdvantageRule.QUANTILE:
            raise ConfigError(
                "algorithm.advantage",
                self.rule.value,
                f"{CONTROLLER_KEY} adapts the quantile's K; set advantage=quantile",
            )
        if isinstance(controller, EntropyBand) and not controller.k_low <= self.quantile_k <= controller.k_high:
            raise ConfigError(
                "algorithm.quantile_k",
                self.quantile_k,
                f"the controller starts from it: give a number from k_low={controller.k_low} to "
                f"k_high={controller.k_high}, or leave controller= out",
            )

    @property
    def uses_quantile(self) -> bool:
        """Whether K, or the controller that chooses it, selects the quantile (True) or the mean (False)."""
        return 0.0 < self.quantile_k < 1.0 or isinstance(self.controller, Balance)

    def at_entropy(self, entropy: float) -> "AdvantageConfig":
        """The rule for the step whose rollout batch has this entropy, in nats/token; itself without an entropy band."""
        if not isinstance(self.controller, EntropyBand):
            return self
        return replace(self, quantile_k=self.controller.next_k(self.quantile_k, entropy))

    @property
    def adapted_k(self) -> float | None:
        """K where a controller sets it: its state, for checkpoints and logs; else None."""
        return None if self.controller is None else self.quantile_k

    def continued(self, adapted_k: float | None) -> "AdvantageConfig":
        """The rule after a checkpoint with this `adapted_k`; itself where that or the controller is None."""
        return self if self.controller is None or adapted_k is None else replace(self, quantile_k=adapted_k)

    @classmethod
    def from_mapping(cls, algorithm: Mapping[str, object]) -> "AdvantageConfig":
        """Read verl's `algorithm` section; keys of verl that do not concern the advantage are left alone.

        Raises:
            ConfigError: a value outside its closed set, a K that is not a number, or a K beside a controller that
                chooses it by itself.
        """
        quantile_k = algorithm.get("quantile_k", -1.0)
        rule = cls(
            quantile_k=quantile_k,  # type: ignore[arg-type]  # __post_init__ refuses what is not a number
            rule=member(AdvantageRule, "algorithm.advantage", algorithm.get("advantage", "quantile")),
            definition=member(
                QuantileDefinition,
                "algorithm.quantile_definition",
                algorithm.get("quantile_definition", "inverse_cdf"),
            ),
            norm_by_std=boolean("algorithm.norm_adv_by_std_in_grpo", algorithm.get("norm_adv_by_std_in_grpo", True)),
            quantile_on=member(QuantileOn, "algorithm.quantile_on", algorithm.get("quantile_on", "score")),
            controller=controllers.from_mapping(algorithm.get("quantile_controller")),
        )
        if isinstance(rule.controller, Balance) and rule.quantile_k != -1:
            raise ConfigError(
                "algorithm.quantile_k", quantile_k, "controller=balance chooses K of each batch; leave it at -1"
            )
        return rule
