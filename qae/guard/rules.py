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
    """Entropy far above its start: sampling drifts towards noise.

    Attributes:
        steps: length of the window.
        start_steps: first training steps; their mean is the start of entropy.
        ratio: every entropy of the window lies above so many times its start.
        pass_gain: the last pass@1 lies less than this above the first one; None: whatever it does.
    """

    name: ClassVar[str] = "explosion"
    steps: int
    start_steps: int
    ratio: float
    pass_gain: float | None

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        window, first = training_steps(history, self.steps), first_steps(history, self.start_steps)
        if window is None or first is None:
            return None
        entropy, start = values_of(window, metrics.ENTROPY.name), _mean_of(first, metrics.ENTROPY.name)
        if entropy is None or start is None or min(entropy) <= self.ratio * start:
            return None
        if not _is_flat(history, self.pass_gain):
            return None
        return _finding(
            self.name,
            window,
            f"entropy {entropy[-1]:.2f}, {start:.2f} at the start{_pass_words(history)}",
            {
                "entropy": entropy[-1],
                "entropy_lowest": min(entropy),
                "entropy_start": start,
                **_pass_evidence(history),
            },
        )


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
    """A number that is none, at once: the optimisation has come apart."""

    name: ClassVar[str] = "divergence"

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        last = training_steps(history, 1)
        broken = [name for name in _MUST_BE_FINITE if last and math.isnan(last[0].values.get(name, 0.0))]
        if not last or not broken:
            return None
        sentence = f"{', '.join(broken)} {'is' if len(broken) == 1 else 'are'} not finite"
        return _finding(self.name, last, sentence, {"not_finite": float(len(broken))})


_MUST_BE_FINITE = (metrics.ENTROPY.name, metrics.POLICY_LOSS.name, metrics.GRAD_NORM.name)
RULES: tuple[type[Explosion | DeadLearning | Divergence], ...] = (Explosion, DeadLearning, Divergence)


def _finding(rule: str, window: History, sentence: str, evidence: Mapping[str, float]) -> Finding:
    return Finding(rule, window[0].step, window[-1].step, sentence, evidence)


def _mean_of(records: History, name: str) -> float | None:
    values = values_of(records, name)
    return sum(values) / len(values) if values else None


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


def _pass_words(history: History) -> str:
    passes = _first_and_last_pass(history)
    return "" if passes is None else f"; pass@1 {passes[1]:.3f}, {passes[0]:.3f} at the start"


def _pass_evidence(history: History) -> dict[str, float]:
    passes = _first_and_last_pass(history)
    return {} if passes is None else {"pass_1": passes[1], "pass_1_start": passes[0]}
