"""What Figs. 6a, 6b and 6c show: final pass@1 of a few methods on each data set."""

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.paper.parts import points, tidy
from analysis.figures.style import Look
from analysis.runs.frames import Runs

CAPTION = "Unbiased pass@1 at the last evaluation, by data set and over all problems, with 95 % intervals."
HERE = "here"
_LOOKS = {HERE: Look(style.ALL, "-", "o"), "": Look(style.NEGATIVE, "-", "D")}


def table(runs: Runs) -> pd.DataFrame:
    """One panel per data set, methods as x."""
    by_arm = {arm: tidy.final_pass_at(runs, arm, 1) for arm in runs.arms}
    data_sets = sorted({name for found in by_arm.values() for name in found})
    frames = [
        tidy.row(data_set, HERE, arm.baseline, found[data_set])
        for data_set in data_sets
        for arm, found in by_arm.items()
        if data_set in found
    ]
    if len(data_sets) > 1:
        frames += [tidy.row("all problems", HERE, arm.baseline, tidy.pooled_pass_at(runs, arm, 1)) for arm in runs.arms]
    return tidy.join(frames)


def paint(data: pd.DataFrame) -> Figure:
    """Panels side by side on one scale."""
    columns = data["panel"].nunique()
    figure = points.grid(data, _LOOKS, columns=columns, size=(0.8 + 0.8 * data["x"].nunique(), 3.4))
    for index, axes in enumerate(figure.axes):
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("pass@1" if index == 0 else "")
        axes.tick_params(labelleft=index == 0)
    return figure
