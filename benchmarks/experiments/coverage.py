"""How often 95 % intervals of a mean hold the truth: ours, the plain bootstrap and rliable's, on made-up runs.

A score is the sum of what its run, its problem and both together add, each normal; the truth is 0. Plain: percentiles
of draws of whole runs and of problems. rliable's: percentiles of draws of runs within each problem, which speak of the
same problems again and take a run's scores for independent. Run ``python -m benchmarks.experiments.coverage``.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from analysis.statistics import Aggregate, Resampling, aggregate_intervals, bootstrap_interval
from analysis.statistics.intervals import FloatArray


@dataclass(frozen=True)
class Setting:
    """Sizes and the standard deviations of what a run, a problem and both together add."""

    seeds: int
    problems: int
    of_seeds: float
    of_problems: float
    noise: float

    def scores(self, generator: np.random.Generator) -> FloatArray:
        """Float (seeds, problems)."""
        return np.asarray(
            self.of_seeds * generator.standard_normal((self.seeds, 1))
            + self.of_problems * generator.standard_normal(self.problems)
            + self.noise * generator.standard_normal((self.seeds, self.problems))
        )


SETTINGS = (
    Setting(1, 30, 0.02, 0.3, 0.1),
    Setting(3, 30, 0.02, 0.3, 0.1),
    Setting(3, 30, 0.1, 0.3, 0.1),
    Setting(5, 30, 0.02, 0.3, 0.1),
    Setting(5, 30, 0.1, 0.3, 0.1),
    Setting(5, 30, 0.02, 0.02, 0.3),
    Setting(5, 500, 0.05, 0.3, 0.1),
    Setting(10, 128, 0.05, 0.3, 0.1),
)
METHODS = ("ours", "plain", "rliable's")


def main() -> int:
    """Print a line a setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--resamples", type=int, default=1_000)
    arguments = parser.parse_args()
    print("| runs | problems | sd of runs | of problems | of both | " + " | ".join(METHODS) + " |")
    print("|--:" * (5 + len(METHODS)) + "|")
    for setting in SETTINGS:
        generator = np.random.default_rng(0)
        covered = np.zeros(len(METHODS))
        for trial in range(arguments.trials):
            ends = intervals(setting.scores(generator), arguments.resamples, trial)
            covered += (ends[:, 0] <= 0) & (ends[:, 1] >= 0)
        sizes = f"{setting.seeds} | {setting.problems} | {setting.of_seeds} | {setting.of_problems} | {setting.noise}"
        shares = [f"{share:.1%}" for share in covered / arguments.trials]
        print(f"| {sizes} | {' | '.join(shares)} |", flush=True)
    return 0


def intervals(scores: FloatArray, resamples: int, seed: int) -> FloatArray:
    """The ends of each method's interval: float (methods, 2)."""
    ours = bootstrap_interval(scores, resamples=resamples)
    kinds = (Resampling(whole_runs=True, tasks=True), Resampling())
    plain, rliables = (
        aggregate_intervals(scores, [Aggregate.MEAN], resampling=kind, resamples=resamples, seed=seed)[Aggregate.MEAN]
        for kind in kinds
    )
    return np.array([(one.low, one.high) for one in (ours, plain, rliables)])


if __name__ == "__main__":
    sys.exit(main())
