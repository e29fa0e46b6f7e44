"""A search against the grid on `model=tiny`: does it find as good a K with at most half of the training steps?

The grid is eight K (or those of ``--ks``) with three seeds. Each repetition is the search with another seed of the
sampler over the same K and run seeds. Its runs are runs of the grid, which are in the store already, so a repetition
trains nothing; what it would have trained in a store of its own is counted.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis import statistics, study
from analysis.sources import run_store
from analysis.statistics.intervals import Estimate
from qae.files.search_record import TrialNote
from qae.run_directory import RunStatus

KS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
RUN_SEEDS = (11, 12, 13)
SAMPLER_SEEDS = (100, 101, 102, 103, 104)  # settings of the search were chosen on 0 to 9
STEPS = 60
SEARCH = ("search.pruner=wilcoxon", "search.n_trials=30", "search.n_jobs=1")


@dataclass(frozen=True)
class Repetition:
    """What a search with one seed of the sampler found."""

    sampler_seed: int
    found: float
    settings: int
    steps: int


def main() -> int:
    """Run the grid, search it, print the table; status 1 with ``--check`` where a repetition misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("runs/benchmark-search"), help="run store")
    parser.add_argument("--ks", type=float, nargs="+", default=KS, help="K of the grid, equally far apart")
    parser.add_argument("--sampler-seeds", type=int, nargs="+", default=SAMPLER_SEEDS)
    parser.add_argument("--search", nargs="*", default=[], metavar="KEY=VALUE", help="other settings of the search")
    parser.add_argument("--check", action="store_true", help="fail where a repetition misses")
    options = parser.parse_args()
    seeds = f"seed={','.join(map(str, RUN_SEEDS))}"
    common = ("model=tiny", seeds, f"sweep.root={options.root}", "tracking=none")
    _sweep(f"algorithm.quantile_k={','.join(map(str, options.ks))}", *common, "sweep.name=grid")
    grid = _grid(options.root, options.ks)
    grid_steps = STEPS * len(grid) * len(RUN_SEEDS)
    space = f"algorithm.quantile_k=range({_range(options.ks)})"
    search = ("hydra/sweeper=optuna", space, *common, *SEARCH, f"search.max_steps={grid_steps // 2}", *options.search)
    repetitions = []
    for seed in options.sampler_seeds:
        name = f"repetition-{seed}"
        _sweep(*search, f"search.sampler_seed={seed}", f"sweep.name={name}")
        repetitions.append(_repetition(options.root, name, seed))
    missed = _show(grid, grid_steps, repetitions)
    return int(options.check and missed > 0)


def _sweep(*arguments: str) -> None:
    subprocess.run([sys.executable, "sweep.py", "-m", *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def _range(ks: Sequence[float]) -> str:
    """Values equally far apart as Hydra's range, whose end is not among them."""
    step = round(ks[1] - ks[0], 6)
    return f"{ks[0]},{round(ks[-1] + step, 6)},{step}"


def _grid(root: Path, ks: Sequence[float]) -> dict[float, Estimate]:
    """pass@1 of every K over the grid's seeds."""
    manifest = yaml.safe_load((root / "sweeps" / "grid.json").read_text())
    runs = run_store.load(root, [run["id"] for run in manifest["runs"]])
    assert all(record.status is RunStatus.DONE for record in runs.records)
    found = {}
    for arm in runs.arms:
        counts = statistics.whole_evaluations(runs.counts(arm))
        estimate = statistics.pass_at_k_estimate(counts, STEPS, 1)
        assert arm.k is not None
        assert estimate is not None
        found[arm.k] = estimate
    return {k: found[k] for k in ks}


def _repetition(root: Path, name: str, sampler_seed: int) -> Repetition:
    result = study.read(root, name)
    (override,) = result.settings[0].overrides
    runs = {
        run
        for trial in study.load(root, name).get_trials(deepcopy=False)
        for run in trial.user_attrs.get(TrialNote.RUNS, {}).values()
    }
    return Repetition(sampler_seed, float(override.partition("=")[2]), len(result.settings), STEPS * len(runs))


def _show(grid: dict[float, Estimate], grid_steps: int, repetitions: list[Repetition]) -> int:
    """Print both tables; how many repetitions missed."""
    best = max(grid.values(), key=lambda estimate: estimate.value)
    print(f"| K | pass@1, {len(RUN_SEEDS)} seeds | in the interval of the best |\n| --: | --: | :-- |")
    inside = {k: best.low <= estimate.value <= best.high for k, estimate in grid.items()}
    for k, estimate in sorted(grid.items()):
        print(f"| {k} | {_interval(estimate)} | {'yes' if inside[k] else 'no'} |")
    print("\n| sampler seed | found K | its pass@1 in the grid | inside | settings seen | steps | of the grid's |")
    print("| --: | --: | --: | :-- | --: | --: | --: |")
    for one in repetitions:
        answer = "yes" if inside[one.found] else "no"
        share = f"{one.steps / grid_steps:.0%}"
        print(
            f"| {one.sampler_seed} | {one.found} | {grid[one.found].value:.3f} | {answer} | {one.settings} "
            f"| {one.steps} | {share} |"
        )
    missed = sum(not inside[one.found] or one.steps > grid_steps / 2 for one in repetitions)
    print(f"\n{len(repetitions) - missed} of {len(repetitions)} repetitions find a K in the interval of the best.")
    return missed


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    sys.exit(main())
