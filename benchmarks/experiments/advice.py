"""Whether the first steps of the mean name a good baseline: rules chosen on development seeds, reported on fresh seeds.

A rule looks at the advantage's mean over tokens and at the change of entropy in the first steps of a run with the mean
and names one of six baselines. Regret is the pass@1 at the end of the best baseline of the world (by the mean over the
seeds) minus that of the named baseline with the same seed. The choice: of a grid the rule with the least mean regret on
the development seeds; of equals the first. Run ``python -m benchmarks.experiments.advice RUN_STORE...``;
``+experiment=early_signs`` makes the runs.
"""

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.advice import evidence
from analysis.advice.evidence import Evidence
from analysis.comparison import PASS_1
from analysis.runs.frames import ArmName, RunRecord, Runs
from analysis.sources import run_store
from analysis.sources.joining import join
from analysis.statistics import Mean, mean_over_seeds

STEPS = (10, 20)
KS = (0.2, 0.4, 0.6, 0.8)
MEAN, TOKEN_MEAN = "mean", "token-weighted mean"
BASELINES = (MEAN, *(f"K = {k:g}" for k in KS), TOKEN_MEAN)
_FACTS, _FAILURES = "tabular.facts", "tabular.failure_tokens"


@dataclass(frozen=True)
class Seed:
    """A seed of a world: what its mean showed after each number of steps, and what its baselines ended with.

    Attributes:
        world: its name.
        seed: the training seed.
        shown: evidence by steps.
        values: pass@1 at the last step, by baseline.
        zeros: logged share of zero advantages by steps and K.
    """

    world: str
    seed: int
    shown: Mapping[int, Evidence]
    values: Mapping[str, float]
    zeros: Mapping[tuple[int, float], float]


@dataclass(frozen=True)
class Fixed:
    """Always the same baseline.

    Attributes:
        baseline: its name.
    """

    baseline: str

    def name(self, seed: Seed) -> str:
        """The baseline for a seed."""
        del seed
        return self.baseline


@dataclass(frozen=True)
class Signs:
    """A baseline by what pushes entropy and where entropy goes.

    Attributes:
        steps: first steps looked at.
        push: entropy counts as pushed up where the advantage's mean over tokens lies below minus this.
        rise: and as rising where its relative change lies above this; None: whatever it does.
        pushed: the baseline where both hold.
        otherwise: the baseline elsewhere.
    """

    steps: int
    push: float
    rise: float | None
    pushed: str
    otherwise: str

    def name(self, seed: Seed) -> str:
        """The baseline for a seed."""
        shown = seed.shown[self.steps]
        advantage = shown.advantage_token_mean
        up = advantage is not None and advantage.value < -self.push
        rises = self.rise is None or shown.change.value > self.rise
        return self.pushed if up and rises else self.otherwise


@dataclass(frozen=True)
class PerWorld:
    """The best baseline of each world on the development seeds: a sweep in the world itself, no rule.

    Attributes:
        baselines: by world.
    """

    baselines: Mapping[str, str]

    def name(self, seed: Seed) -> str:
        """The baseline for a seed."""
        return self.baselines[seed.world]


Policy = Fixed | Signs | PerWorld


def rules(steps: int) -> Iterator[Signs]:
    """The grid."""
    pairs = [(a, b) for a, b in itertools.product(BASELINES, repeat=2) if a != b]
    for rise, push, (pushed, otherwise) in itertools.product(
        (None, -0.2, 0.0, 0.05, 0.2), (0.0, 0.02, 0.04, 0.06, 0.08), pairs
    ):
        yield Signs(steps, push, rise, pushed, otherwise)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("roots", nargs="+", type=Path, metavar="RUN_STORE")
    parser.add_argument("--development", type=int, nargs="+", default=list(range(10)), help="Default: 0 to 9.")
    arguments = parser.parse_args()
    seeds = list(seeds_of(join([run_store.load(root) for root in arguments.roots])))
    development = [seed for seed in seeds if seed.seed in arguments.development]
    sets = {"development": development, "fresh": [seed for seed in seeds if seed not in development]}
    if not development:
        parser.error(
            f"no development seed has finished runs of {', '.join(BASELINES)}; +experiment=early_signs makes them"
        )
    print_worlds(sets)
    chosen = {f"the signs of {steps} steps": choose(rules(steps), development) for steps in STEPS}
    best = choose((Fixed(baseline) for baseline in BASELINES), development)
    policies: dict[str, Policy] = {
        **chosen,
        **{f"always {baseline}": Fixed(baseline) for baseline in BASELINES},
        "best of each world on development seeds": PerWorld(
            {world: highest([one for one in development if one.world == world]) for world in worlds(development)}
        ),
    }
    for name, rule in chosen.items():
        print(f"\n{name}: {rule}")
    print_policies(sets, policies, best)
    print_sparsity(sets)
    return 0


def choose(policies: Iterable[Policy], seeds: Sequence[Seed]) -> Policy:
    """The policy with the least mean regret; of equals the first."""
    return min(policies, key=lambda policy: round(float(np.mean(regrets(policy, seeds))), 9))


def regrets(policy: Policy, seeds: Sequence[Seed]) -> list[float]:
    """Of each seed number the mean over worlds of what the best baseline of the world has more."""
    best = {world: highest([one for one in seeds if one.world == world]) for world in worlds(seeds)}
    by_number: dict[int, list[float]] = {}
    for one in seeds:
        by_number.setdefault(one.seed, []).append(one.values[best[one.world]] - one.values[policy.name(one)])
    return [float(np.mean(of)) for _, of in sorted(by_number.items())]


def highest(seeds: Sequence[Seed]) -> str:
    """The baseline with the highest mean over the seeds of a world."""
    return max(BASELINES, key=lambda baseline: float(np.mean([one.values[baseline] for one in seeds])))


def worlds(seeds: Sequence[Seed]) -> list[str]:
    """Their worlds."""
    return list(dict.fromkeys(one.world for one in seeds))


def seeds_of(runs: Runs) -> Iterator[Seed]:
    """Every seed of a world in which all baselines are finished."""
    found: dict[tuple[str, int], dict[str, RunRecord]] = {}
    for record in runs.records:
        ended = record.total_steps and record.step == record.total_steps
        if ended and record.arm.baseline in BASELINES and record.labels["regularizer"] == "clip_higher":
            found.setdefault((world_of(record), record.seed), {})[record.arm.baseline] = record
    for (world, number), own in found.items():
        if set(own) == set(BASELINES):
            yield seed_of(runs, world, number, own)


def world_of(record: RunRecord) -> str:
    """Model, number of facts, and how much longer failures are."""
    labels, config = record.labels, record.config
    return f"{labels['model']}, {config[_FACTS]} facts, failures {config[_FAILURES]} tokens longer"


def seed_of(runs: Runs, world: str, number: int, own: Mapping[str, RunRecord]) -> Seed:
    """The numbers of a seed."""
    of_seed = runs.only(own.values())
    arms: Mapping[str, ArmName] = {baseline: record.arm for baseline, record in own.items()}
    return Seed(
        world,
        number,
        {steps: evidence.gather(of_seed, arms[MEAN], steps) for steps in STEPS},
        {baseline: float(PASS_1.table(of_seed, arm).to_numpy().mean()) for baseline, arm in arms.items()},
        {
            (steps, arm.k): zero.value
            for arm in arms.values()
            if arm.k is not None
            for steps in STEPS
            if (zero := evidence.measured_zero_share(of_seed, arm, steps)) is not None
        },
    )


def print_worlds(sets: Mapping[str, Sequence[Seed]]) -> None:
    """What the mean showed in each world, and what the baselines ended with."""
    print(f"\nSigns after {STEPS[-1]} steps of the mean, and pass@1 at the end: means over seeds\n")
    print_row("seeds", "world", "n", "advantage, mean over tokens", "change of entropy", *BASELINES)
    print_row("---", "---", *["--:"] * (3 + len(BASELINES)))
    for name, seeds in sets.items():
        for world in worlds(seeds):
            own = [one for one in seeds if one.world == world]
            shown = [one.shown[STEPS[-1]] for one in own]
            pushes = [of.advantage_token_mean.value for of in shown if of.advantage_token_mean is not None]
            changes = [of.change.value for of in shown]
            values = (f"{np.mean([one.values[baseline] for one in own]):.4f}" for baseline in BASELINES)
            print_row(name, world, str(len(own)), f"{np.mean(pushes):+.3f}", f"{np.mean(changes):+.0%}", *values)


def print_policies(sets: Mapping[str, Sequence[Seed]], policies: Mapping[str, Policy], best: Policy) -> None:
    """Regret of each policy, and how much less that is than the regret of the best fixed baseline."""
    print("\nRegret in pass@1, mean over worlds and seeds; gain over the best fixed baseline of development seeds\n")
    print_row("policy", *(f"{kind}, {name}" for name in sets for kind in ("regret", "gain")))
    print_row("---", *["--:"] * (2 * len(sets)))
    for name, policy in policies.items():
        cells = []
        for seeds in sets.values():
            own, fixed = regrets(policy, seeds), regrets(best, seeds)
            cells += [shown_mean(own), shown_mean([b - a for a, b in zip(own, fixed, strict=True)], signed=True)]
        print_row(name, *cells)


def print_sparsity(sets: Mapping[str, Sequence[Seed]]) -> None:
    """Predicted against logged shares of zero advantages: signed and absolute error."""
    print("\nPredicted minus logged share of zero advantages: mean error, mean absolute error (n runs)\n")
    print_row("seeds", "first steps", *(f"K = {k:g}" for k in KS), "all")
    print_row("---", *["--:"] * (2 + len(KS)))
    for name, seeds in sets.items():
        for steps in STEPS:
            errors = {k: [error for seed in seeds for error in sparsity_errors(seed, steps, k)] for k in KS}
            everything = [error for of in errors.values() for error in of]
            print_row(name, str(steps), *(shown_errors(of) for of in (*errors.values(), everything)))


def sparsity_errors(seed: Seed, steps: int, k: float) -> list[float]:
    """Predicted minus logged, where both are there."""
    predicted: Mean | None = seed.shown[steps].zero_share(k)
    logged = seed.zeros.get((steps, k))
    return [] if predicted is None or logged is None else [predicted.value - logged]


def shown_errors(errors: Sequence[float]) -> str:
    """Mean, mean absolute value and number."""
    return f"{np.mean(errors):+.3f}, {np.mean(np.abs(errors)):.3f} ({len(errors)})" if errors else "—"


def shown_mean(values: Sequence[float], *, signed: bool = False) -> str:
    """Mean with its t-interval."""
    if not values:
        return "—"
    form = "+.4f" if signed else ".4f"
    mean = mean_over_seeds(values)
    return f"{mean.value:{form}} [{mean.low:{form}}, {mean.high:{form}}]"


def print_row(*cells: str) -> None:
    """A row of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
