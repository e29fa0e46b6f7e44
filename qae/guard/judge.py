"""Rules over a history step by step: the same for a run that trains and for one that is read from disk."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from qae.guard.history import StepRecord
from qae.guard.rules import Finding
from qae.guard.settings import Action, Watch


@dataclass(frozen=True)
class Verdict:
    """A rule that fired and what is to be done.

    Attributes:
        finding: what it saw.
        action: what is done; a run at its last step ends by itself, so that there the most is a tag.
        fork_k: see `Watch`.
    """

    finding: Finding
    action: Action
    fork_k: float | None


class Judge:
    """Takes a run's steps in order and gives each rule's verdict once.

    Args:
        watches: the rules on duty.
        total_steps: global steps that complete the run.
        history: steps before the first that will be taken.
        decided: names of rules that have fired before.
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        total_steps: int,
        history: Iterable[StepRecord] = (),
        decided: Collection[str] = (),
    ) -> None:
        self._watches = watches
        self._total_steps = total_steps
        self._history = list(history)
        self._decided = set(decided)

    def take(self, record: StepRecord) -> list[Verdict]:
        """The verdicts of a step; it replaces the same step and those after it, which a continued run makes again."""
        while self._history and self._history[-1].step >= record.step:
            self._history.pop()
        self._history.append(record)
        verdicts = []
        for watch in self._watches:
            if watch.rule.name in self._decided or (finding := watch.rule.judge(self._history)) is None:
                continue
            self._decided.add(watch.rule.name)
            last = record.step >= self._total_steps and watch.action.ends
            verdicts.append(Verdict(finding, Action.TAG if last else watch.action, watch.fork_k))
        return verdicts


def replay(watches: Sequence[Watch], history: Iterable[StepRecord], total_steps: int) -> list[Verdict]:
    """What the guard would have decided in a run, up to the verdict that would have ended it."""
    judge = Judge(watches, total_steps)
    verdicts: list[Verdict] = []
    for record in history:
        verdicts += judge.take(record)
        if any(verdict.action.ends for verdict in verdicts):
            break
    return verdicts
