"""What advice on K is worth: thresholds chosen on development seeds, all reported on fresh ones.

From runs that are there (the paper's experiment makes them): the rule on the first steps of each seed's run with the
mean, against the pass@1 that each K ended with on the same seed; and the predicted share of zero advantages against
the logged one. Nothing is trained. Run ``python -m benchmarks.advice RUN_STORE...``.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.advice import evidence
from analysis.advice.evidence import Evidence
from analysis.advice.recommend import Entropy, Thresholds, judge, rule_k
from analysis.comparison import PASS_1
from analysis.runs import ArmName, RunRecord, Runs
from analysis.sources import run_store
from analysis.sources.joining import join
from analysis.statistics import Mean, mean_over_seeds

STEPS = (10, 20, 30, 60)
COLLAPSES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
KS = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Seed:
    """A seed of one variant: what its mean showed after each number of steps, and what its K's ended with.

    Attributes:
        variant: names of the regularizer and, where it is not the default one, of the model.
        seed: the training seed.
        shown: evidence by steps.
        values: pass@1 at the last step, by K; None is the mean.
        zeros: logged share of zero advantages by steps and K.
    """

    variant: str
    seed: int
    shown: Mapping[int, Evidence]
    values: Mapping[float | None, float]
    zeros: Mapping[tuple[int, float], float]

    @property
    def best(self) -> float:
        """The K that ended highest."""
        return max((k for k in self.values if k is not None), key=lambda k: self.values[k])

    def regret(self, k: float | None) -> float:
        """How much lower than the best K it ended."""
        return self.values[self.best] - self.values[k]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("roots", nargs="+", type=Path, metavar="RUN_STORE")
    parser.add_argument("--development", type=int, nargs="+", default=[11, 12])
    arguments = parser.parse_args()
    runs = join([run_store.load(root) for root in arguments.roots])
    seeds = list(seeds_of(runs))
    sets = {
        "development": [one for one in seeds if one.seed in arguments.development],
        "fresh": [one for one in seeds if one.seed not in arguments.development],
    }
    judged = {name: [one for one in of if set(KS) <= set(one.values)] for name, of in sets.items()}
    if not judged["development"]:
        parser.error(
            f"no development seed has finished runs with the mean and K = {KS}; +experiment=k_response makes them"
        )
    collapse = choose(judged["development"])
    print_choice(judged["development"], collapse)
    print_seeds(sets, Thresholds(collapse))
    print_policies(judged, Thresholds(collapse))
    print_sparsity(sets)
    return 0


def seeds_of(runs: Runs) -> Iterator[Seed]:
    """Every seed that has a finished run with the mean and one with a K."""
    variants = dict.fromkeys(arm.variant for arm in runs.arms)
    for variant in variants:
        arms = {arm.k: arm for arm in runs.arms if arm.variant == variant and arm.baseline in ("mean", *names())}
        if None not in arms:
            continue
        for record in runs.arms[arms[None]]:
            own = {k: found for k, arm in arms.items() if (found := run_of(runs, arm, record.seed)) is not None}
            if {None} < set(own):
                yield seed_of(runs, record.seed, arms, own)


def names() -> list[str]:
    """What the plain quantile's arms are called."""
    return [f"K = {k:g}" for k in KS]


def run_of(runs: Runs, arm: ArmName, seed: int) -> RunRecord | None:
    """The finished run of an arm with a seed."""
    finished = (one for one in runs.arms[arm] if one.seed == seed and one.total_steps and one.step == one.total_steps)
    return next(finished, None)


def seed_of(runs: Runs, seed: int, arms: Mapping[float | None, ArmName], own: Mapping[float | None, RunRecord]) -> Seed:
    """The numbers of a seed."""
    of_seed = runs.only(own.values())
    labels = own[None].labels
    return Seed(
        ", ".join([labels["regularizer"], *([labels["model"]] if labels["model"] != "tiny" else [])]),
        seed,
        {steps: evidence.gather(of_seed, arms[None], steps) for steps in STEPS if steps <= own[None].step},
        {k: float(PASS_1.table(of_seed, arms[k]).to_numpy().mean()) for k in own},
        {
            (steps, k): zero.value
            for k in own
            if k is not None
            for steps in STEPS
            if (zero := evidence.measured_zero_share(of_seed, arms[k], steps)) is not None
        },
    )


def called(seed: Seed, steps: int, thresholds: Thresholds) -> float:
    """The rule's K on one run."""
    return rule_k(judge(seed.shown[steps].change, thresholds))


def regret(seeds: Sequence[Seed], collapse: float) -> float:
    """Mean over seeds and numbers of steps."""
    thresholds = Thresholds(collapse)
    return float(np.mean([seed.regret(called(seed, steps, thresholds)) for seed in seeds for steps in seed.shown]))


def choose(seeds: Sequence[Seed]) -> float:
    """The threshold with the least regret; of those that share it the middle one."""
    regrets = {collapse: regret(seeds, collapse) for collapse in COLLAPSES}
    least = [collapse for collapse in COLLAPSES if regrets[collapse] <= min(regrets.values()) + 1e-12]
    return least[len(least) // 2]


def print_choice(seeds: Sequence[Seed], chosen: float) -> None:
    """The regret of each threshold on the development seeds."""
    print(f"\nThreshold of a collapse on {len(seeds)} development seeds, mean over {STEPS} first steps\n")
    print_row("a fall of", *(f"{collapse:.0%}{' (chosen)' if collapse == chosen else ''}" for collapse in COLLAPSES))
    print_row("---", *["--:"] * len(COLLAPSES))
    print_row("regret in pass@1", *(f"{regret(seeds, collapse):.3f}" for collapse in COLLAPSES))


def print_seeds(sets: Mapping[str, Sequence[Seed]], thresholds: Thresholds) -> None:
    """What each seed's mean showed, the rule's K, and what the K's ended with."""
    print(f"\nAdvice a seed; change of entropy after {', '.join(map(str, STEPS))} steps of its mean\n")
    print_row("seeds", "variant", "seed", "change of entropy", "rule's K", "best K", "mean", *names())
    print_row("---", "---", *["--:"] * (5 + len(KS)))
    for name, seeds in sets.items():
        for seed in seeds:
            changes = " ".join(f"{shown.change.value:+.0%}" for shown in seed.shown.values())
            ks = dict.fromkeys(f"{called(seed, steps, thresholds):g}" for steps in seed.shown)
            values = (f"{seed.values[k]:.3f}" if k in seed.values else "—" for k in (None, *KS))
            best = f"{seed.best:g}" if set(KS) <= set(seed.values) else "—"
            print_row(name, seed.variant, str(seed.seed), changes, ", ".join(ks), best, *values)
    wrong = sum(
        judge(shown.change, thresholds) is not Entropy.NEITHER
        for of in sets.values()
        for s in of
        for shown in s.shown.values()
    )
    print(f"\nCalled a collapse or an explosion: {wrong} of {sum(len(s.shown) for of in sets.values() for s in of)}.")


def print_policies(sets: Mapping[str, Sequence[Seed]], thresholds: Thresholds) -> None:
    """What following each policy costs against the best K of the same seed."""
    on_development = [np.mean([seed.values[k] for seed in sets["development"]]) for k in KS]
    measured = KS[int(np.argmax(on_development))]
    print("\nRegret in pass@1 against the seed's own best K (below 0: better than every K)\n")
    print_row("policy", *(f"{name}, n = {len(seeds)}" for name, seeds in sets.items()))
    print_row("---", *["--:"] * len(sets))
    policies: dict[str, list[str]] = {
        f"the rule on {steps} steps": [
            shown_mean([seed.regret(called(seed, steps, thresholds)) for seed in seeds]) for seeds in sets.values()
        ]
        for steps in STEPS
    }
    fixed = {
        "K = .4, the default": 0.4,
        "K = .6": 0.6,
        f"best of the sweep on development seeds (K = {measured:g})": measured,
    }
    for name, k in {**fixed, "the mean": None}.items():
        policies[name] = [shown_mean([seed.regret(k) for seed in seeds]) for seeds in sets.values()]
    for name, row in policies.items():
        print_row(name, *row)


def print_sparsity(sets: Mapping[str, Sequence[Seed]]) -> None:
    """Predicted against logged shares of zero advantages: signed and absolute error."""
    print("\nPredicted minus logged share of zero advantages: mean error, mean absolute error (n runs)\n")
    print_row("seeds", "first steps", *names(), "all")
    print_row("---", *["--:"] * (2 + len(KS)))
    for name, seeds in sets.items():
        for steps in STEPS:
            errors = {k: [error for seed in seeds for error in sparsity_errors(seed, steps, k)] for k in KS}
            everything = [error for of in errors.values() for error in of]
            print_row(name, str(steps), *(shown_errors(of) for of in (*errors.values(), everything)))


def sparsity_errors(seed: Seed, steps: int, k: float) -> list[float]:
    """Predicted minus logged, where both are there."""
    shown = seed.shown.get(steps)
    predicted: Mean | None = shown.zero_share(k) if shown is not None else None
    logged = seed.zeros.get((steps, k))
    return [] if predicted is None or logged is None else [predicted.value - logged]


def shown_errors(errors: Sequence[float]) -> str:
    """Mean, mean absolute value and number."""
    return f"{np.mean(errors):+.3f}, {np.mean(np.abs(errors)):.3f} ({len(errors)})" if errors else "—"


def shown_mean(values: Sequence[float]) -> str:
    """Mean with its t-interval."""
    if not values:
        return "—"
    mean = mean_over_seeds(values)
    return f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]" if mean.seeds > 1 else f"{mean.value:.3f}"


def print_row(*cells: str) -> None:
    """A row of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
