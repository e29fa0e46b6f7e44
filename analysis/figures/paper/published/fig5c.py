"""Fig. 5c: shares of responses by reward minus baseline over global steps, under the mean and under K = 0.4."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis import published
from analysis.figures import curves, panels, style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs
from qae import metrics

_MEAN, _K4 = Arm(), Arm(published.DEFAULT_K)
NEEDS = Needs("fig5", (_MEAN, _K4))
CAPTION = (
    "Responses of the batch after dynamic sampling by reward minus baseline, R - b, before division by the standard "
    "deviation: only so do the paper's classes 1, 0, -1 and others fit its eq. 3. Under the mean R - b is a fraction "
    "(others). Stacked, mean over seeds. Dashed: the paper's share of zeros under K = 0.4, about 80 %."
)
_CLASSES = {
    "R - b = 0": (metrics.CENTRED_ZERO, style.ZERO, ""),
    "R - b = 1": (metrics.CENTRED_ONE, style.POSITIVE, ""),
    "R - b = -1": (metrics.CENTRED_MINUS_ONE, style.NEGATIVE, "////"),
    "others": (metrics.CENTRED_OTHER, "#F0E442", "...."),
}


def table(runs: Runs) -> pd.DataFrame:
    """One panel per arm, one series per class."""
    return tidy.join(
        tidy.rows(str(arm), label, curves.metric_curve(runs, arm, metric))
        for arm in runs.arms
        for label, (metric, *_) in _CLASSES.items()
    )


def paint(data: pd.DataFrame) -> Figure:
    """Stacked shares with zeros below, so that their height can be read."""
    figure, axes = panels.small_multiples(list(data["panel"].unique()), "Share of responses")
    for panel in axes:
        rows = data[data["panel"] == panel.get_title()]
        panel.set_label(panel.get_title())
        wide = rows.pivot_table(index="x", columns="series", values="value", sort=False)
        labels = [label for label in _CLASSES if label in wide]
        areas = panel.stackplot(
            wide.index, *(wide[label] for label in labels), labels=labels, colors=[_CLASSES[name][1] for name in labels]
        )
        for area, label in zip(areas, labels, strict=True):
            area.set(hatch=_CLASSES[label][2], edgecolor="white", linewidth=0.5)
        if panel.get_title() == str(_K4.name):
            panel.axhline(published.ZERO_SHARE, color=style.ALL, linestyle="--", linewidth=1.4, label="0 in the paper")
        panel.set_ylim(0, 1)
        panel.margins(x=0)
    panels.add_legend(figure, axes)
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether about 80 % are zero."""
    claim = "about 80 % of advantages are zero under K = .4"
    return (judge.near(claim, runs, _K4, judge.ZERO_SHARE, published.ZERO_SHARE, 0.05),)
