"""Table 2: final pass@1 and pass@16 of four regularizers with the mean and with K = 0.4, and as published."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis import published
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import lines, points, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_REGULARIZERS = ("clip_higher", "clip_cov", "kl_cov", "gspo")
_ARMS = {(name, k is not None): Arm(k, regularizer=name) for name in _REGULARIZERS for k in (None, published.DEFAULT_K)}
NEEDS = Needs("table2", tuple(_ARMS.values()))
CAPTION = (
    "Unbiased pass@1 and pass@16 at the last evaluation, by data set, with 95 % intervals. Open marks: the paper's "
    "Table 2 (Qwen3-8B-Base, GSPO: Qwen3-30B-A3B-Base; no intervals are published)."
)


def table(runs: Runs) -> pd.DataFrame:
    """One panel per data set and k, the regularizer as x, the baseline as series."""
    frames = []
    for k in (1, 16):
        of_arms = {key: arm.name for key, arm in _ARMS.items() if arm.name in runs.arms}
        by_arm = {key: tidy.final_pass_at(runs, arm, k) for key, arm in of_arms.items()}
        ours = [
            tidy.row(f"pass@{k}, {data_set}", _ARMS[key].name.baseline, key[0], found[data_set])
            for data_set in sorted({name for found in by_arm.values() for name in found})
            for key, found in by_arm.items()
            if data_set in found
        ]
        theirs = [
            tidy.published(
                f"pass@{k}, {score.data_set} (paper)",
                f"{points.PUBLISHED}: {_ARMS[score.regularizer, score.quantile].name.baseline}",
                score.regularizer,
                score.pass_1 if k == 1 else score.pass_16 or float("nan"),
            )
            for score in published.TABLE_2
        ]
        if any(len(row) for row in ours):
            frames += [*ours, *theirs]
    return tidy.join(frames)


def paint(data: pd.DataFrame) -> Figure:
    """A row for pass@1, a row for pass@16."""
    looks = {name: look for name, look in lines.looks(NEEDS).items() if "," not in name}
    rows = data["panel"].str.partition(",")[0]
    figure = points.grid(
        data, looks, columns=int(data.groupby(rows)["panel"].nunique().max()), size=(2.6, 2.9), rotated=True
    )
    labelled: set[str] = set()
    for axes in figure.axes:
        if axes.get_visible():
            row, _, data_set = str(axes.get_label()).partition(", ")
            axes.set(title=data_set, ylabel="" if row in labelled else row, ylim=(0, 1.02))
            labelled.add(row)
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """QAE on top of each regularizer."""
    return tuple(
        judge.higher(f"K = .4 gains pass@1 with {name}", runs, _ARMS[name, True], _ARMS[name, False], judge.PASS_1)
        for name in _REGULARIZERS
    )
