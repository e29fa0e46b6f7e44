"""Thresholds of the guard: chosen on development seeds, true and false stops reported on the other seeds.

The choice, for each rule alone: of all settings of a grid without a false stop on the development seeds, the one whose
true stops save most steps there; of equals the one that asks for most. Run ``python -m benchmarks.guard --root RUNS``.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis.guard.replay import GOOD_GAIN, Outcome, histories, replay_run
from analysis.runs import RunRecord, Runs
from analysis.sources import run_store
from qae.guard.history import StepRecord
from qae.guard.settings import Watch, watches

SHIPPED = Path(__file__).parents[1] / "sweeps" / "conf" / "guard" / "entropy.yaml"
# In order of what they ask for, least first.
GRID: Mapping[str, Mapping[str, Sequence[float | None]]] = {
    "explosion": {
        "ratio": (1.05, 1.1, 1.2, 1.3, 1.5),
        "length_ratio": (None, 1.0, 1.1),
        "pass_gain": (0.1,),
        "steps": (3, 5, 8),
        "start_steps": (3,),
        "slope": (None,),
    },
    "collapse": {
        "fraction": (0.5, 0.3, 0.2, 0.1, None),
        "kept": (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, None),
        "pass_gain": (0.1,),
        "steps": (3, 5, 8),
        "start_steps": (3,),
    },
}


@dataclass(frozen=True)
class Tally:
    """What rules come to over runs."""

    bad: int
    true_stops: int
    good: int
    false_stops: int
    steps: int
    saved: int
    lost: int

    def cells(self) -> str:
        """For a line of the table."""
        return (
            f"{self.true_stops} of {self.bad} | {self.false_stops} of {self.good} | "
            f"{self.saved} of {self.steps} ({self.saved / max(1, self.steps):.0%}) | {self.lost}"
        )


Recorded = Sequence[tuple[RunRecord, Sequence[StepRecord]]]


def main() -> int:
    """Choose and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, action="append", required=True, help="Run store; several times.")
    parser.add_argument("--chosen-on", default="11,12", help="Development seeds (default: 11,12).")
    arguments = parser.parse_args()
    seeds = {int(seed) for seed in arguments.chosen_on.split(",")}
    recorded = [item for root in arguments.root for item in _finished(run_store.load(root))]
    development = [item for item in recorded if item[0].seed in seeds]
    fresh = [item for item in recorded if item[0].seed not in seeds]
    for name, items in (("development", development), ("fresh", fresh)):
        print(f"{name}: {len(items)} runs, seeds {sorted({record.seed for record, _ in items})}")
    print("\n| rules | seeds | true stops | false stops | steps saved | steps lost |\n|---|---|---|---|---|---|")
    for name in GRID:
        chosen = choose(name, development)
        words = ", ".join(f"{key} {value}" for key, value in chosen.items() if len(GRID[name][key]) > 1)
        _report(f"{name}, chosen: {words}", watches({name: {"action": "stop", **chosen}}), development, fresh)
    shipped = watches(yaml.safe_load(SHIPPED.read_text())["guard"])
    for watch in shipped:
        _report(f"{watch.rule.name}, as in guard=entropy", [watch], development, fresh)
    _report("all, as in guard=entropy", shipped, development, fresh)
    return 0


def choose(rule: str, recorded: Recorded) -> dict[str, float | None]:
    """The thresholds of the grid that the rule in this file's head picks."""
    best: tuple[int, dict[str, float | None]] | None = None
    for thresholds in _settings(GRID[rule]):
        found = tally(recorded, watches({rule: {"action": "stop", **thresholds}}))
        if not found.false_stops and (best is None or found.saved >= best[0]):
            best = found.saved, thresholds
    assert best is not None, f"every setting of {rule} stops a good run"
    return best[1]


def tally(recorded: Recorded, watching: Sequence[Watch]) -> Tally:
    """Stops over runs whose pass@1 tells good from bad."""
    items = [replay_run(record, history, watching, GOOD_GAIN) for record, history in recorded]
    outcomes = [item.outcome for item in items]
    count = {outcome: outcomes.count(outcome) for outcome in Outcome}
    return Tally(
        bad=count[Outcome.TRUE_STOP] + count[Outcome.MISSED],
        true_stops=count[Outcome.TRUE_STOP],
        good=count[Outcome.FALSE_STOP] + count[Outcome.KEPT],
        false_stops=count[Outcome.FALSE_STOP],
        steps=sum(item.steps for item in items),
        saved=sum(item.steps_after for item in items if item.outcome is Outcome.TRUE_STOP),
        lost=sum(item.steps_after for item in items if item.outcome is Outcome.FALSE_STOP),
    )


def _finished(runs: Runs) -> Iterator[tuple[RunRecord, Sequence[StepRecord]]]:
    """Runs that will have no further step, with their steps."""
    found = histories(runs)
    yield from ((record, found[record.id]) for record in runs.records if record.status.is_final)


def _settings(grid: Mapping[str, Sequence[float | None]]) -> Iterator[dict[str, float | None]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _report(name: str, watching: Sequence[Watch], development: Recorded, fresh: Recorded) -> None:
    for seeds, recorded in (("development", development), ("fresh", fresh)):
        print(f"| {name} | {seeds} | {tally(recorded, watching).cells()} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
