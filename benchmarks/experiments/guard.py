"""Rules of the guard: thresholds chosen on development seeds, stops reported on fresh seeds.

A good or a bad run is told by its end alone (`analysis.guard.replay.Line`). The choice, for each rule alone: of all
settings of a grid that stop at most 5 % of the good development runs, the setting whose true stops save most steps; of
equals the first. Run ``python -m benchmarks.experiments.guard --root RUNS``; ``+experiment=early_signs`` makes the
runs.
"""

import argparse
import itertools
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml
from scipy.stats import beta

from analysis.guard.replay import Line, Outcome, Replayed, histories, replay_run
from analysis.runs.frames import RunRecord, Runs
from analysis.sources import run_store
from qae import metrics
from qae.guard.history import History, StepRecord, first_steps, training_steps, values_of
from qae.guard.rules import Explosion, Finding, Rule
from qae.guard.settings import Action, Watch, watches
from qae.run_directory import RunStatus

SHIPPED = Path(__file__).parents[2] / "sweeps" / "conf" / "guard" / "entropy.yaml"
MOST_FALSE_STOPS = 0.05
CONFIDENCE = 0.95
_PASS = metrics.pass_at(1).name


@dataclass(frozen=True)
class Cause:
    """A candidate: what pushes entropy up is there in a window, and entropy lies above its start.

    Attributes:
        metric: its name; negated where entropy rises with a lower value.
        sign: 1 or -1.
        steps: length of the window.
        bound: `sign` times every value of the window lies above this.
        ratio: every entropy of the window lies above so many times that of the first step; None: whatever it does.
    """

    name: ClassVar[str] = "cause"
    metric: str
    sign: int
    steps: int
    bound: float
    ratio: float | None

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        window, first = training_steps(history, self.steps), first_steps(history, 1)
        values = values_of(window, self.metric) if window else None
        entropy, start = (values_of(records or (), metrics.ENTROPY.name) for records in (window, first))
        if window is None or not values or min(self.sign * value for value in values) <= self.bound:
            return None
        if self.ratio is not None and (not entropy or not start or min(entropy) <= self.ratio * start[0]):
            return None
        return Finding(self.name, window[0].step, window[-1].step, f"{self.metric} {values[-1]:.4f}", {})


@dataclass(frozen=True)
class WhileFlat:
    """A candidate: a rule that fires only while pass@1 has not gained.

    Attributes:
        rule: the rule.
        gain: the last pass@1 lies less than this above the first; there are two.
    """

    name: ClassVar[str] = "while_flat"
    rule: Rule
    gain: float

    def judge(self, history: History) -> Finding | None:
        """See `Rule`."""
        passes = [record.values[_PASS] for record in history if _PASS in record.values]
        flat = len(passes) > 1 and passes[-1] - passes[0] < self.gain
        return self.rule.judge(history) if flat else None


# Of each family the settings that ask for least come first.
_STEPS = (1, 2, 3, 5)
_RATIOS = (1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
_EXPLOSIONS = [
    Explosion(steps, start_steps, ratio)
    for start_steps, ratio, steps in itertools.product((1, 3), (1.05, *_RATIOS), _STEPS)
]
GRID: Mapping[str, Sequence[Rule]] = {
    "explosion": _EXPLOSIONS,
    "explosion while pass@1 is flat": [WhileFlat(rule, 0.1) for rule in _EXPLOSIONS],
    "net advantage": [
        Cause(metrics.ADVANTAGE_TOKEN_MEAN.name, -1, steps, bound, ratio)
        for ratio, bound, steps in itertools.product((None, 1.0, *_RATIOS), (0.0, 0.04, 0.06, 0.08, 0.1), _STEPS)
    ],
    "clip drift": [
        Cause(metrics.CLIP_DRIFT.name, 1, steps, bound, ratio)
        for ratio, bound, steps in itertools.product((None, 1.0, *_RATIOS), (0.0, 0.002, 0.004, 0.006), _STEPS)
    ],
}
Recorded = Sequence[tuple[RunRecord, Sequence[StepRecord]]]


@dataclass(frozen=True)
class Tally:
    """What a rule comes to over runs."""

    items: Sequence[Replayed]

    def of(self, outcome: Outcome) -> list[Replayed]:
        """The runs with an outcome."""
        return [item for item in self.items if item.outcome is outcome]

    @property
    def false_share(self) -> float:
        """Share of the good runs that are stopped."""
        stopped, kept = len(self.of(Outcome.FALSE_STOP)), len(self.of(Outcome.KEPT))
        return stopped / max(1, stopped + kept)

    @property
    def saved(self) -> int:
        """Steps after true stops."""
        return sum(item.steps_after for item in self.of(Outcome.TRUE_STOP))

    def cells(self, explosion: "Tally") -> str:
        """For a line of the table."""
        steps = sum(item.steps for item in self.items)
        lost = sum(item.steps_after for item in self.of(Outcome.FALSE_STOP))
        return (
            f"{share(len(self.of(Outcome.TRUE_STOP)), len(self.of(Outcome.MISSED)))} | "
            f"{share(len(self.of(Outcome.FALSE_STOP)), len(self.of(Outcome.KEPT)))} | "
            f"{self.saved} of {steps} ({self.saved / max(1, steps):.0%}) | {lost} | {self.earlier(explosion)}"
        )

    def earlier(self, explosion: "Tally") -> str:
        """Steps from this rule's true stops to those of `explosion` in the same runs: median, extremes, runs."""
        theirs = {item.record.id: item.finding.step for item in explosion.items if item.finding}
        found = [
            theirs[item.record.id] - item.finding.step
            for item in self.of(Outcome.TRUE_STOP)
            if item.finding and item.record.id in theirs
        ]
        return f"{statistics.median(found):g} [{min(found)}, {max(found)}] (n = {len(found)})" if found else "—"


def main() -> int:
    """Choose and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, action="append", required=True, help="Run store; several times.")
    parser.add_argument("--development", type=int, nargs="+", default=list(range(10)), help="Default: 0 to 9.")
    arguments = parser.parse_args()
    recorded = [item for root in arguments.root for item in _finished(run_store.load(root))]
    development = [item for item in recorded if item[0].seed in arguments.development]
    sets = {"development": development, "fresh": [item for item in recorded if item not in development]}
    for name, items in sets.items():
        print(f"{name}: {len(items)} runs, seeds {sorted({record.seed for record, _ in items})}")
    chosen = {family: [Watch(choose(rules, development), Action.STOP, None)] for family, rules in GRID.items()}
    section = yaml.safe_load(SHIPPED.read_text())
    shipped = watches(section)
    chosen |= {f"{watch.rule.name}, as in guard=entropy": [watch] for watch in shipped}
    chosen["all, as in guard=entropy"] = list(shipped)
    chosen["all, without the clip's drift"] = list(
        watches({**section, "drift": {**section["drift"], "clip_drift": None}})
    )
    print("\n| rule | seeds | true stops | false stops | steps saved | steps lost | steps before explosion |")
    print("|---|---|---|---|--:|--:|---|")
    for name, items in sets.items():
        explosion = tally(items, chosen["explosion"])
        for family, watching in chosen.items():
            print(f"| {family} | {name} | {tally(items, watching).cells(explosion)} |", flush=True)
    for family in GRID:
        print(f"\n{family}: {chosen[family][0].rule}")
    print_arms(sets["fresh"], {family: chosen[family] for family in GRID})
    return 0


def choose(rules: Sequence[Rule], recorded: Recorded) -> Rule:
    """The setting that the head of this file picks; the setting with the least false stops where none has so few."""
    tallies = [(rule, tally(recorded, [Watch(rule, Action.STOP, None)])) for rule in rules]
    allowed = [found for found in tallies if found[1].false_share <= MOST_FALSE_STOPS]
    if not allowed:
        return min(tallies, key=lambda found: found[1].false_share)[0]
    return max(allowed, key=lambda found: found[1].saved)[0]


def tally(recorded: Recorded, watching: Sequence[Watch]) -> Tally:
    """Every run under the rules."""
    return Tally([replay_run(record, history, watching, Line()) for record, history in recorded])


def print_arms(recorded: Recorded, chosen: Mapping[str, Sequence[Watch]]) -> None:
    """Of each arm the bad runs, and of each rule the runs that it stops and the median step."""
    found = {family: tally(recorded, watching).items for family, watching in chosen.items()}
    print(f"\n| arm | bad runs | end / start | gain | {' | '.join(found)} |")
    print(f"|---|--:|---|---|{'---|' * len(found)}")
    for arm in dict.fromkeys(record.arm for record, _ in recorded):
        own = {family: [item for item in items if item.record.arm == arm] for family, items in found.items()}
        items = own["explosion"]
        bad = sum(item.is_good is False for item in items)
        ratios = [item.entropy_ratio for item in items if item.entropy_ratio is not None]
        gains = [item.last_pass - item.first_pass for item in items if item.first_pass is not None and item.last_pass]
        stops = [_stops(items) for items in own.values()]
        print(f"| {arm} | {bad} of {len(items)} | {_range(ratios, 2)} | {_range(gains, 3)} | {' | '.join(stops)} |")


def share(hits: int, others: int) -> str:
    """A count with the exact binomial (Clopper-Pearson) interval of its share."""
    count = hits + others
    if not count:
        return "0 of 0"
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, others + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, others)) if others else 1.0
    return f"{hits} of {count} [{low:.0%}, {high:.0%}]"


def _stops(items: Sequence[Replayed]) -> str:
    steps = [item.finding.step for item in items if item.finding]
    return f"{len(steps)}, step {statistics.median(steps):g}" if steps else "0"


def _range(values: Sequence[float], digits: int) -> str:
    if not values:
        return "—"
    return f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _finished(runs: Runs) -> Iterator[tuple[RunRecord, Sequence[StepRecord]]]:
    """Runs that ended by themselves, with their steps."""
    found = histories(runs)
    ended = (RunStatus.DONE, RunStatus.FAILED)
    yield from ((record, found[record.id]) for record in runs.records if record.status in ended)


if __name__ == "__main__":
    sys.exit(main())
