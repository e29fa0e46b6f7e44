"""Sensitivity to seeds: every seed's final pass@1, and what fewer seeds would have said of the difference."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import lines, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_MEAN, _K4 = Arm(), Arm(0.4)
_MOST_CHOICES = 500  # of ten seeds all are shown, 252 of five; of twenty there would be a million
_MOST_COUNTS = 20
NEEDS = Needs("seed_sensitivity", (_MEAN, _K4))
CAPTION = (
    "Left: final pass@1 of every run, lines join runs of the same seed. Right: the difference K = 0.4 minus the mean "
    f"as every choice of so many of these seeds would estimate it ({_MOST_CHOICES} drawn choices where there are "
    "more). The paper reports single runs."
)
_RUNS, _CHOICES = "final pass@1 by seed", "difference by number of seeds"
_DIFFERENCE = "every choice of seeds"


def table(runs: Runs) -> pd.DataFrame:
    """One row per run; and one row per choice of seeds."""
    by_arm = {arm: _by_seed(runs, arm) for arm in (_MEAN, _K4)}
    frames = [
        pd.DataFrame(
            {
                "panel": _RUNS,
                "series": str(arm.name),
                "x": seed,
                "value": value,
                "low": value,
                "high": value,
                "seeds": 1,
            },
            index=[0],
        )
        for arm, of_seeds in by_arm.items()
        for seed, value in of_seeds.items()
    ]
    common = sorted(by_arm[_MEAN].keys() & by_arm[_K4].keys())
    differences = np.array([by_arm[_K4][seed] - by_arm[_MEAN][seed] for seed in common])
    means = [(count, mean) for count in _counts(len(common)) for mean in _means_of_choices(differences, count)]
    rows = [(_CHOICES, _DIFFERENCE, count, mean, mean, mean, count) for count, mean in means]
    return tidy.join([*frames, pd.DataFrame(rows, columns=list(tidy.COLUMNS))])


def _counts(seeds: int) -> list[int]:
    """How many seeds are chosen: 1, 2, … up to all; some of these where they are many."""
    return np.unique(np.linspace(1, seeds, _MOST_COUNTS).round().astype(int)).tolist() if seeds else []


def _means_of_choices(values: npt.NDArray[np.float64], count: int) -> list[float]:
    """The mean of every choice of so many values; of many choices, some that are drawn, the same each time."""
    if math.comb(len(values), count) <= _MOST_CHOICES:
        return [float(np.mean(chosen)) for chosen in combinations(values, count)]
    generator = np.random.default_rng(count)
    return [float(np.mean(generator.choice(values, count, replace=False))) for _ in range(_MOST_CHOICES)]


def paint(data: pd.DataFrame) -> Figure:
    """Runs at the left, choices of seeds at the right."""
    looks = lines.looks(NEEDS)
    figure, [[left, right]] = style.new_figure(1, 2, width=9.5, height=4.6)
    left.set_label(_RUNS)
    right.set_label(_CHOICES)
    of_runs = data[data["panel"] == _RUNS]
    arms = list(of_runs["series"].unique())
    wide = of_runs.pivot_table(index="x", columns="series", values="value", sort=False).reindex(columns=arms)
    for _, values in wide.iterrows():
        left.plot(range(len(arms)), values, color=style.ZERO_LINE, linewidth=0.9)
    for place, arm in enumerate(arms):
        values = of_runs.loc[of_runs["series"] == arm, "value"]
        left.plot([place] * len(values), values, looks[arm].marker, color=looks[arm].colour, markersize=7, label=arm)
    left.set_xticks(range(len(arms)), arms)
    left.set(xlim=(-0.5, len(arms) - 0.5), xlabel="Baseline", ylabel="Final pass@1")
    last = wide.iloc[:, -1].dropna().sort_values()
    for (seed, value), height in zip(
        last.items(), _apart(last.tolist(), 0.05 * float(np.ptp(of_runs["value"]))), strict=True
    ):
        left.annotate(
            f"seed {seed}",
            (len(arms) - 1, value),
            (len(arms) - 0.88, height),
            fontsize=8,
            va="center",
            arrowprops={"arrowstyle": "-", "color": style.ZERO_LINE, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4},
        )
    choices = data[data["panel"] == _CHOICES]
    right.plot(choices["x"], choices["value"], "o", color=style.POSITIVE, alpha=0.6, markersize=6, label=_DIFFERENCE)
    right.axhline(0, color=style.ALL, linestyle=":", linewidth=1)
    right.set(xlabel="Seeds an arm", ylabel="Final pass@1: K = 0.4 minus the mean")
    right.set_xticks(sorted(choices["x"].unique()))
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """The paper's claim with all seeds."""
    return (judge.higher("K = .4 ends with a higher pass@1 than the mean", runs, _K4, _MEAN, judge.PASS_1),)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved up where they are nearer than the gap, so that labels do not overlap."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    return moved


def _by_seed(runs: Runs, arm: Arm) -> dict[int, float]:
    found = judge.values_of(judge.PASS_1, runs, arm)
    return {int(str(seed)): float(value) for seed, value in found.mean(axis=1).items()} if len(found) else {}
