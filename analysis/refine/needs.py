"""How many seeds would separate two arms, from the variance that their runs show."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from analysis import comparison, statistics
from analysis.comparison import Measure, Pair
from analysis.runs.frames import ArmName, Runs
from analysis.table import last_steps_of


@dataclass(frozen=True)
class Question:
    """What is to be shown.

    Attributes:
        measure: the number that is compared.
        confidence: of each test, two-sided.
        power: the chance that a true difference is seen.
        difference: the difference that is to be seen, above 0; None: each pair's own.
        most: no more seeds an arm than these.
    """

    measure: Measure
    confidence: float = statistics.CONFIDENCE
    power: float = 0.8
    difference: float | None = None
    most: int = 64


@dataclass(frozen=True)
class Need:
    """What it takes to separate a pair of arms.

    Attributes:
        first, second: the arms.
        of: their difference on common seeds and problems.
        level: of the test: 1 - confidence, divided by the number of pairs that are asked about.
        wanted: the difference that is to be seen.
        reached: the last step that both have reached.
        step: at which they are compared: that step, or of pass@k the last evaluation up to it.
        seeds: common seeds at that step, in order.
        needed: seeds an arm, all told; None where no number up to 10,000 is enough or one seed shows no spread.
    """

    first: ArmName
    second: ArmName
    of: statistics.Difference
    level: float
    wanted: float
    reached: int
    step: int
    seeds: tuple[int, ...]
    needed: int | None

    @property
    def is_separated(self) -> bool:
        """Whether the seeds that there are tell the arms apart; a single one never does."""
        return len(self.seeds) > 1 and self.of.p <= self.level


def needs(runs: Runs, pairs: Iterable[Pair], question: Question) -> list[Need]:
    """What each pair takes; pairs without a common seed are left out.

    The formula is `statistics.seeds_needed`: the least S with |wanted| >= (t_nu(1 - level/2) + t_nu(power)) sqrt(V(S)),
    where V(S) is the variance of the mean difference: its part between seeds shrinks as 1/S, its part between
    problems does not (two-way analysis of variance of the table of differences by seed and problem,
    docs/statistics.md). It is the usual approximation to the power of the t-test by a shifted t (Cohen 1988, ch. 2).
    Where the difference is the one seen, both it and the variance are estimates: with few seeds a rough number.
    """
    found = [case for pair in pairs for case in comparison.cases_of(runs, pair, (question.measure,), None)]
    level = (1 - question.confidence) / max(1, len(found))
    return [_need(case, question, level) for case in found]


def seeds_at(runs: Runs, arm: ArmName, step: int) -> set[int]:
    """Seeds of an arm's runs that have reached a step."""
    lasts = last_steps_of(runs, arm)
    return {record.seed for record in runs.arms[arm] if record.id in lasts.index and lasts[record.id] >= step}


def missing_seeds(need: Need, runs: Runs) -> Iterator[tuple[ArmName, tuple[int, ...]]]:
    """For both arms the seeds that are still to be trained, so that `needed` are common.

    Common seeds come first, then those that one arm has already, then the next ones above all of them.
    """
    done = {arm: seeds_at(runs, arm, need.reached) for arm in (need.first, need.second)}
    either = done[need.first] | done[need.second]
    count = need.needed or 0
    ordered = [*need.seeds, *sorted(either - set(need.seeds))]
    wanted = [*ordered, *range(max(either) + 1, max(either) + 1 + count)][:count]
    for arm in (need.first, need.second):
        yield arm, tuple(sorted(set(wanted) - done[arm]))


def _need(case: comparison.Case, question: Question, level: float) -> Need:
    of = statistics.difference(
        case.of_first, case.of_second, paired=True, bound=case.measure.bound, confidence=1 - level
    )
    wanted = abs(of.value) if question.difference is None else question.difference
    needed = statistics.seeds_needed(replace(of, value=wanted), level, question.power)
    return Need(case.first, case.second, of, level, wanted, case.reached, case.step, case.seeds, needed)
