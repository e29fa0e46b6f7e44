"""The guard's rules: each a record of thresholds and a pure function from the history so far to a finding.

A rule speaks of the last `steps` training steps, its window, and fires where all that it asks holds at the window's
end. What was not measured (no evaluation yet, a metric that the trainer does not log) does not hold.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from qae import metrics
from qae.guard.history import History, first_steps, training_steps, values_of

_PASS = metrics.pass_at(1).name
_ALL_ZERO = 1 - 1e-9  # a share of responses; the smallest other one is 1 / responses of a batch


@dataclass(frozen=True)
class Finding:
    """That a rule fired.

    Attributes:
        rule: its name.
        first_step: first step of the window that showed it.
        step: last step of the window.
        sentence: what was seen, for people.
        evidence: the numbers behind it.
    """

    rule: str
    first_step: int
    step: int
    sentence: str
    evidence: Mapping[str, float]


class Rule(Protocol):
    """What the guard asks of a rule."""

    name: ClassVar[str]

    def judge(self, history: History) -> Finding | None:
        """The finding at the end of a history, if it fires there; all of the history may count, nothing else does."""
        ...


@dataclass(frozen=True)
class Explosion:
    """Entropy far above its start, with longer responses and no gain: sampling drifts towards noise.

    Attributes:
        steps: length of the window.
        start_steps: first training steps; their mean is the start of entropy and length.
        ratio: every entropy of the window lies above so many times its start.
        slope: or: the least-squares slope of entropy over the window is so much of the start a step; None: only the
            level counts.
        length_ratio: the window's mean length lies above so many times its start; None: whatever it does.
        pass_gain: the last pass@1 lies less than this above the first one; None: whatever it does.
    """

    name: ClassVar[str] = "explosion"
    steps: int
    start_steps: int
    ratio: float
    slope: float | None
    length_ratio: float | None
    pass_gain: float | None

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        window, first = training_steps(history, self.steps), first_steps(history, self.start_steps)
        if window is None or first is None:
            return None
        entropy, entropy_start = values_of(window, metrics.ENTROPY.name), _mean_of(first, metrics.ENTROPY.name)
        if entropy is None or entropy_start is None:
            return None
        length, length_start = _mean_of(window, metrics.LENGTH_MEAN.name), _mean_of(first, metrics.LENGTH_MEAN.name)
        rise = _slope(entropy)
        high = min(entropy) > self.ratio * entropy_start
        steep = self.slope is not None and rise > self.slope * entropy_start
        longer = _is_above(length, self.length_ratio, length_start)
        if not ((high or steep) and longer and _is_flat(history, self.pass_gain)):
            return None
        return _finding(
            self.name,
            window,
            f"entropy {entropy[-1]:.2f}, {entropy_start:.2f} at the start"
            f"{_words('length', length, length_start, '.1f')}{_pass_words(history)}",
            {
                "entropy": entropy[-1],
                "entropy_lowest": min(entropy),
                "entropy_start": entropy_start,
                "entropy_slope": rise,
                **_evidence("length", length, length_start),
                **_pass_evidence(history),
            },
        )


@dataclass(frozen=True)
class Collapse:
    """Entropy near nothing, or groups that are nearly all right or all wrong, without a gain: exploration has ended.

    Attributes:
        steps: length of the window.
        start_steps: first training steps; their mean is the start of entropy.
        fraction: every entropy of the window lies below this part of its start; None: entropy does not count.
        kept: or: in every step of the window less than this share of the generated groups has both right and wrong
            responses; None: groups do not count.
        pass_gain: the last pass@1 lies less than this above the first one; None: whatever it does.
    """

    name: ClassVar[str] = "collapse"
    steps: int
    start_steps: int
    fraction: float | None
    kept: float | None
    pass_gain: float | None

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        window, first = training_steps(history, self.steps), first_steps(history, self.start_steps)
        if window is None or first is None:
            return None
        words: list[str] = []
        evidence: dict[str, float] = {}
        entropy, start = values_of(window, metrics.ENTROPY.name), _mean_of(first, metrics.ENTROPY.name)
        if entropy and start is not None and self.fraction is not None and max(entropy) < self.fraction * start:
            words.append(f"entropy {entropy[-1]:.3f}, {start:.2f} at the start")
            evidence |= {"entropy": entropy[-1], "entropy_highest": max(entropy), "entropy_start": start}
        kept = values_of(window, metrics.GENERATED_KEPT.name)
        if kept and self.kept is not None and max(kept) < self.kept:
            words.append(f"{kept[-1]:.1%} of the groups have both right and wrong responses")
            evidence |= {"groups_kept": kept[-1], "groups_kept_highest": max(kept)}
        if not words or not _is_flat(history, self.pass_gain):
            return None
        sentence = "; ".join(words) + _pass_words(history)
        return _finding(self.name, window, sentence, {**evidence, **_pass_evidence(history)})


@dataclass(frozen=True)
class DeadLearning:
    """No response has an advantage other than zero, so that nothing is learnt.

    Attributes:
        steps: length of the window.
    """

    name: ClassVar[str] = "dead_learning"
    steps: int

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        window = training_steps(history, self.steps)
        zero = values_of(window, metrics.ZERO_FRACTION.name) if window else None
        if window is None or zero is None or not min(zero) >= _ALL_ZERO:
            return None
        sentence = f"every advantage was zero for {self.steps} steps"
        return _finding(self.name, window, sentence, {"zero_fraction": min(zero)})


@dataclass(frozen=True)
class Divergence:
    """A number that is none, at once, or gradients beyond a bound: the optimisation has come apart.

    Attributes:
        steps: length of the window for the gradient norm.
        grad_norm: every gradient norm of the window lies above this; None: only NaN and infinity count.
    """

    name: ClassVar[str] = "divergence"
    steps: int
    grad_norm: float | None

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        last = training_steps(history, 1)
        broken = [name for name in _MUST_BE_FINITE if last and math.isnan(last[0].values.get(name, 0.0))]
        if last and broken:
            sentence = f"{', '.join(broken)} {'is' if len(broken) == 1 else 'are'} not finite"
            return _finding(self.name, last, sentence, {"not_finite": float(len(broken))})
        window = training_steps(history, self.steps)
        norms = values_of(window, metrics.GRAD_NORM.name) if window else None
        if window is None or norms is None or self.grad_norm is None or not min(norms) > self.grad_norm:
            return None
        sentence = f"gradient norm {norms[-1]:.3g}, above {self.grad_norm:g} for {self.steps} steps"
        return _finding(self.name, window, sentence, {"grad_norm": norms[-1], "grad_norm_lowest": min(norms)})


_MUST_BE_FINITE = (metrics.ENTROPY.name, metrics.POLICY_LOSS.name, metrics.GRAD_NORM.name)
RULES: tuple[type[Explosion | Collapse | DeadLearning | Divergence], ...] = (
    Explosion,
    Collapse,
    DeadLearning,
    Divergence,
)


def _finding(rule: str, window: History, sentence: str, evidence: Mapping[str, float]) -> Finding:
    return Finding(rule, window[0].step, window[-1].step, sentence, evidence)


def _mean_of(records: History, name: str) -> float | None:
    values = values_of(records, name)
    return sum(values) / len(values) if values else None


def _slope(values: list[float]) -> float:
    """Least squares, per step; 0 for a single value."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    spread = sum((i - middle) ** 2 for i in range(len(values)))
    return sum((i - middle) * (value - mean) for i, value in enumerate(values)) / spread if spread else 0.0


def _is_flat(history: History, gain: float | None) -> bool:
    """Whether pass@1 has been measured after the start and has not risen by the gain."""
    if gain is None:
        return True
    found = _first_and_last_pass(history)
    return found is not None and found[1] - found[0] < gain


def _first_and_last_pass(history: History) -> tuple[float, float] | None:
    """Pass@1 of the first evaluation and of the last one; None before there are two."""
    evaluations = [record.values[_PASS] for record in history if _PASS in record.values]
    return (evaluations[0], evaluations[-1]) if len(evaluations) > 1 else None


def _is_above(value: float | None, ratio: float | None, start: float | None) -> bool:
    if ratio is None:
        return True
    return value is not None and start is not None and value > ratio * start


def _pass_words(history: History) -> str:
    first, last = _first_and_last_pass(history) or (None, None)
    return _words("pass@1", last, first, ".3f")


def _pass_evidence(history: History) -> dict[str, float]:
    first, last = _first_and_last_pass(history) or (None, None)
    return _evidence("pass_1", last, first)


def _words(name: str, value: float | None, start: float | None, form: str) -> str:
    return "" if value is None or start is None else f"; {name} {value:{form}}, {start:{form}} at the start"


def _evidence(name: str, value: float | None, start: float | None) -> dict[str, float]:
    return {} if value is None or start is None else {name: value, f"{name}_start": start}
