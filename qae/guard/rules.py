"""The guard's rules: each a record of thresholds and a pure function from the history so far to a finding.

A rule speaks of the last `steps` training steps, its window, and fires where all that it asks holds at the window's
end. A metric that the trainer does not log does not fire a rule.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from qae import metrics
from qae.guard.history import History, first_steps, training_steps, values_of

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
    """

    name: ClassVar[str] = "explosion"
    steps: int
    start_steps: int
    ratio: float

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        level = _level(history, self.steps, self.start_steps)
        if level is None or level.lowest <= self.ratio * level.start:
            return None
        return _finding(self.name, level.window, level.words, level.evidence)


@dataclass(frozen=True)
class Drift:
    """Entropy above its start while its cause goes on (docs/why_entropy_explodes.md): told before the level tells.

    Attributes:
        steps: length of the window.
        start_steps: first training steps; their mean is the start of entropy.
        ratio: every entropy of the window lies above so many times its start.
        advantage: every `qae/advantage_token_mean` of the window lies below this; None: it does not count.
        clip_drift: or: every `qae/clip_drift` of the window lies above this; None: it does not count.
    """

    name: ClassVar[str] = "drift"
    steps: int
    start_steps: int
    ratio: float
    advantage: float | None
    clip_drift: float | None

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        level = _level(history, self.steps, self.start_steps)
        if level is None or level.lowest <= self.ratio * level.start:
            return None
        words, evidence = [level.words], level.evidence
        advantages = values_of(level.window, metrics.ADVANTAGE_TOKEN_MEAN.name)
        if advantages and self.advantage is not None and max(advantages) < self.advantage:
            words.append(f"advantage, mean over tokens, {advantages[-1]:.3f}")
            evidence |= {"advantage": advantages[-1], "advantage_highest": max(advantages)}
        drifts = values_of(level.window, metrics.CLIP_DRIFT.name)
        if drifts and self.clip_drift is not None and min(drifts) > self.clip_drift:
            words.append(f"drift by the clip {drifts[-1]:.4f}")
            evidence |= {"clip_drift": drifts[-1], "clip_drift_lowest": min(drifts)}
        return _finding(self.name, level.window, "; ".join(words), evidence) if len(words) > 1 else None


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
KnownRule: TypeAlias = Explosion | Drift | DeadLearning | Divergence
RULES: tuple[type[KnownRule], ...] = (Explosion, Drift, DeadLearning, Divergence)


def _finding(rule: str, window: History, sentence: str, evidence: Mapping[str, float]) -> Finding:
    return Finding(rule, window[0].step, window[-1].step, sentence, evidence)


@dataclass(frozen=True)
class _Level:
    """Entropy over a window beside its start."""

    window: History
    last: float
    lowest: float
    start: float

    @property
    def words(self) -> str:
        return f"entropy {self.last:.2f}, {self.start:.2f} at the start"

    @property
    def evidence(self) -> dict[str, float]:
        return {"entropy": self.last, "entropy_lowest": self.lowest, "entropy_start": self.start}


def _level(history: History, steps: int, start_steps: int) -> _Level | None:
    """None before there are enough steps, and where an entropy is missing or not finite."""
    window, first = training_steps(history, steps), first_steps(history, start_steps)
    entropy, start = (values_of(records, metrics.ENTROPY.name) if records else None for records in (window, first))
    if window is None or not entropy or not start:
        return None
    return _Level(window, entropy[-1], min(entropy), sum(start) / len(start))
