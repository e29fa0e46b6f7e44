"""Entropy of responses with positive, zero and negative advantage, one column per arm (the paper's Figs. 4a and 5b)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import curves, panels, style
from analysis.figures.missing import require
from analysis.runs.frames import ArmName, Runs
from qae import metrics

# Metric, label, colour and dash of each class.
SIGNS = (
    (metrics.ENTROPY_POSITIVE, "positive advantage", style.POSITIVE, "-"),
    (metrics.ENTROPY_NEGATIVE, "negative advantage", style.NEGATIVE, "--"),
    (metrics.ENTROPY_ZERO, "zero advantage", style.ZERO_LINE, "-."),
)


def draw(runs: Runs, source: str) -> Figure:
    """Above: the classes and all responses; below: each class minus all, paired within a seed."""
    require(runs, metrics.ENTROPY)
    arms = [arm for arm in runs.arms if not runs.series(arm, metrics.ENTROPY.name).empty]
    columns = panels.columns_for(len(arms))
    blocks = -(-len(arms) // columns)
    figure, cells = style.new_figure(
        2 * blocks, columns, width=max(6.0, 2.4 * columns + 0.9), height=4.3 * blocks + 1.2
    )
    for axes in (axes for row in cells for axes in row):
        axes.set_visible(False)
    above, below = [], []
    for index, arm in enumerate(arms):
        block, column = divmod(index, columns)
        above.append(cells[2 * block][column])
        below.append(cells[2 * block + 1][column])
        above[-1].set_title(panels.wrapped(arm.shown))
        _classes(above[-1], runs, arm)
        _differences(below[-1], runs, arm)
        panels.label_outer(above[-1], left=column == 0, below=False, y_label=style.labelled(metrics.ENTROPY))
        panels.label_outer(below[-1], left=column == 0, below=True, y_label="Difference from all\n(nats/token)")
    _share_scale(above, bottom=0)
    _share_scale(below)
    panels.add_legend(figure, above)
    style.add_caption(
        figure,
        "Above: token-mean policy entropy of responses by the sign of their advantage, and of all of them (mean over "
        f"seeds; band, for all: {curves.BAND}). Below: the class minus all, paired within a seed, band alike. A class "
        f"with no token at a step has no point there. {style.sizes(runs, source)}",
    )
    return figure


def _classes(axes: Axes, runs: Runs, arm: ArmName) -> None:
    axes.set_visible(True)
    for metric, label, colour, dash in SIGNS:
        look = {"color": colour, "linestyle": dash, "linewidth": 1.4}
        curves.over_seeds(axes, runs.series(arm, metric.name), label, look, band=False)
    look = {"color": style.ALL, "linestyle": ":", "linewidth": 1.4}
    curves.over_seeds(axes, runs.series(arm, metrics.ENTROPY.name), "all", look)


def _differences(axes: Axes, runs: Runs, arm: ArmName) -> None:
    axes.set_visible(True)
    axes.axhline(0, color=style.ALL, linestyle=":", linewidth=1)
    everything = runs.series(arm, metrics.ENTROPY.name)
    for metric, label, colour, dash in SIGNS:
        difference = runs.series(arm, metric.name) - everything
        curves.over_seeds(axes, difference, label, {"color": colour, "linestyle": dash, "linewidth": 1.4})


def _share_scale(axes: list[Axes], bottom: float | None = None) -> None:
    """One y scale for all, wide enough for 98 % of the lines' points: early steps of a class may rest on few tokens."""
    points = pd.concat([pd.Series(line.get_ydata(), dtype=float) for panel in axes for line in panel.get_lines()])
    low, high = points[np.isfinite(points)].quantile([0.01, 0.99])
    if pd.isna(low):
        return
    margin = 0.35 * (high - low) or 0.1
    for panel in axes:
        panel.set_ylim(low - margin if bottom is None else bottom, high + margin)
