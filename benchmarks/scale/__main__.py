"""Print the tables of docs/scale.md and draw its figure: ``python -m benchmarks.scale``."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.scale import experiments, figure, report


def main() -> int:
    """Simulate; a table as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=8, help="of each scenario, at least 2")
    parser.add_argument("--most-runs", type=int, default=100_000, help="of the largest sweep")
    parser.add_argument("--figure", type=Path, default=Path("docs/images/scale.png"))
    options = parser.parse_args()
    _show("Checkpoint intervals by Daly's formula, in steps", report.models())
    intervals = experiments.intervals(options.seeds)
    _show("Wasted over useful GPU time, by checkpoint interval", report.intervals(intervals))
    throttles = experiments.throttles(options.seeds)
    _show("Throttles", report.throttles(throttles))
    figure.draw(intervals, throttles, options.figure)
    sizes = experiments.sizes(options.most_runs)
    _show("Ever more runs", report.sizes(sizes))
    seconds = sum(point.wall_seconds for point in sizes)
    print(f"\n{sum(point.scenario.runs for point in sizes):,} runs of the last table took {seconds:.0f} s.")
    return 0


def _show(title: str, rows: Iterator[str]) -> None:
    print(f"\n{title}\n", *rows, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
