"""A K to begin with: the paper's rule of thumb on the entropy of a baseline, and what trained K's say against it.

The rule looks at the entropy of the baseline's run and not at its evaluation: where it is low, or collapses early,
K = .6; where it is high, or explodes, K = .4, which is also the default since all of the paper's recipes use
Clip-Higher (secs. 5 and 6). The paper gives no numbers for low and high: `Thresholds` are ours, chosen on development
seeds and reported on others (docs/advice.md).
"""

from dataclasses import dataclass
from enum import StrEnum

from analysis.advice import measured
from analysis.advice.evidence import Evidence
from analysis.advice.measured import Results
from analysis.comparison import Difference
from analysis.statistics import Mean
from analysis.wording import seeds_in_words

LOW_ENTROPY_K, HIGH_ENTROPY_K = 0.6, 0.4
# Above this share of groups with more than two scores the predicted shares are not to be relied on.
_MANY_SCORES = 0.05


class Entropy(StrEnum):
    """Where the entropy of the baseline goes."""

    COLLAPSES = "collapses"
    EXPLODES = "explodes"
    NEITHER = "neither"


class Basis(StrEnum):
    """What a recommendation rests on."""

    RULE = "the paper's rule"
    DEFAULT = "the paper's default"
    MEASURED = "measured"


@dataclass(frozen=True)
class Thresholds:
    """Which change of entropy counts, relative to its start.

    Attributes:
        collapse: a fall of at least this counts as a collapse, if its interval lies below zero.
        explosion: a rise of at least this counts as an explosion, if its interval lies above zero.

    Raises:
        ValueError: a threshold that is no share in (0, 1), or one that is not above 0.
    """

    collapse: float = 0.7
    explosion: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.collapse < 1 or not self.explosion > 0:
            raise ValueError(f"collapse={self.collapse} must lie in (0, 1), explosion={self.explosion} above 0")


@dataclass(frozen=True)
class Recommendation:
    """A K to begin with.

    Attributes:
        k: the quantile.
        rule_k: what the paper's rule alone says.
        basis: what `k` rests on.
        entropy: what the rule takes the baseline's entropy for.
        reasons: sentences, in order.
        cautions: sentences on what speaks against it or is not known.
    """

    k: float
    rule_k: float
    basis: Basis
    entropy: Entropy
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]


def judge(change: Mean, thresholds: Thresholds) -> Entropy:
    """What the rule takes a change of entropy for; a single seed is judged by its value."""
    if change.value <= -thresholds.collapse and change.high < 0:
        return Entropy.COLLAPSES
    if change.value >= thresholds.explosion and change.low > 0:
        return Entropy.EXPLODES
    return Entropy.NEITHER


def rule_k(entropy: Entropy) -> float:
    """The paper's K for it."""
    return LOW_ENTROPY_K if entropy is Entropy.COLLAPSES else HIGH_ENTROPY_K


def recommend(evidence: Evidence, results: Results, thresholds: Thresholds | None = None) -> Recommendation:
    """The rule's K, or another one that has been measured to be better than it.

    Args:
        evidence: of the baseline.
        results: trained K's of the same variant, compared with the rule's K.
        thresholds: by default those chosen on the embedded task.
    """
    entropy = judge(evidence.change, thresholds or Thresholds())
    of_rule = rule_k(entropy)
    better = measured.separated_best(results.differences)
    reasons = (_of_rule(entropy, evidence), *_of_best(results))
    cautions = (*_cautions_of_evidence(evidence), *_cautions_of_results(of_rule, results, better))
    if better is not None and better.first.k is not None:
        reason = (
            f"so: {better.first} has a higher pass@1 than {better.second}, the rule's K, by {better} on "
            f"{seeds_in_words(better.seeds)} and {better.problems} problems; the sweep contradicts the rule here."
        )
        return Recommendation(better.first.k, of_rule, Basis.MEASURED, entropy, (*reasons, reason), cautions)
    basis = Basis.DEFAULT if entropy is Entropy.NEITHER else Basis.RULE
    return Recommendation(of_rule, of_rule, basis, entropy, reasons, cautions)


def _of_rule(entropy: Entropy, evidence: Evidence) -> str:
    change = f"{evidence.change.value:+.0%}"
    match entropy:
        case Entropy.COLLAPSES:
            return f"rule: entropy collapses ({change}); the paper takes K = .6 where the baseline's entropy is low."
        case Entropy.EXPLODES:
            return f"rule: entropy explodes ({change}); the paper takes K = .4 where the baseline's entropy is high."
        case Entropy.NEITHER:
            return f"rule: entropy neither collapses nor explodes ({change}); the paper's default is K = .4."


def _of_best(results: Results) -> tuple[str, ...]:
    best = results.best
    if best is None:
        return ()
    value, count = best.value, sum(of.arm.k is not None for of in results.baselines)
    interval = f"pass@1 {value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
    which = f"{seeds_in_words(value.seeds)}, {value.problems} problems, step {best.step}"
    return (f"measured: of {count} trained K's {best.arm.shown} ends highest, {interval} ({which}).",)


def _cautions_of_evidence(evidence: Evidence) -> tuple[str, ...]:
    found = []
    if len(evidence.seeds) == 1:
        found.append("weak evidence: one seed does not show how much seeds differ.")
    if evidence.several_scores > _MANY_SCORES:
        found.append(
            f"{evidence.several_scores:.0%} of groups have more than two scores; the predicted shares know right and "
            "wrong only."
        )
    return tuple(found)


def _cautions_of_results(of_rule: float, results: Results, better: Difference | None) -> tuple[str, ...]:
    best = results.best
    if best is None:
        return ("no run with a K of this variant is in the source: nothing measured speaks for or against the rule.",)
    found = []
    against = results.against(best.arm)
    if better is None and best.arm.k != of_rule:
        if against is None:
            found.append(
                f"the rule's K = {of_rule:g} is not among the measured ones; of these {best.arm.shown} is the best."
            )
        else:
            found.append(
                f"{best.arm.shown} measured higher than the rule's K by {against} on "
                f"{seeds_in_words(against.seeds)}, which is not separated from "
                "zero: weak evidence against the rule; `qae refine` proposes seeds that tell."
            )
    mean = next((of for of in results.baselines if of.arm.k is None), None)
    if mean is not None and mean.value.value > best.value.value:
        found.append(
            f"the mean itself measured higher than every K: {mean.value.value:.3f} [{mean.value.low:.3f}, "
            f"{mean.value.high:.3f}], {seeds_in_words(mean.value.seeds)}."
        )
    return tuple(found)
