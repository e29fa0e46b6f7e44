"""What Figs. 4a and 5b show: entropy by the sign of the advantage, and how far each class is from all responses."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import curves, panels, style
from analysis.figures.entropy_by_sign import SIGNS
from analysis.figures.paper.parts import lines, tidy
from analysis.figures.paper.selection import Arm
from analysis.figures.style import Look
from analysis.runs.frames import Runs
from qae import metrics

CAPTION = (
    "Above: token-mean policy entropy of responses by the sign of their advantage, and of all of them. Below: the "
    "class minus all, paired within a seed. Mean over seeds, band (above for all only): "
    f"{curves.BAND}; a class with no token at a step has no point there. Wide bands are cut."
)
_LEVEL, _DIFFERENCE = style.labelled(metrics.ENTROPY), "Difference (nats/token)"
_LOOKS = {
    **{label: Look(colour, dash, "") for _, label, colour, dash in SIGNS},
    "all": Look(style.ALL, ":", ""),
}


def table(runs: Runs) -> pd.DataFrame:
    """Two panels an arm: the level of each class, and its difference from all."""
    frames = []
    for arm in runs.arms:
        everything = runs.series(arm, metrics.ENTROPY.name)
        for metric, label, *_ in SIGNS:
            of_class = runs.series(arm, metric.name)
            frames.append(tidy.rows(f"{arm}: {_LEVEL}", label, curves.metric_curve(runs, arm, metric)))
            frames.append(
                tidy.rows(
                    f"{arm}: {_DIFFERENCE}", label, curves.summary_over_seeds(of_class - everything[of_class.columns])
                )
            )
        frames.append(tidy.rows(f"{arm}: {_LEVEL}", "all", curves.metric_curve(runs, arm, metrics.ENTROPY)))
    return tidy.join(frames)


def paint(data: pd.DataFrame) -> Figure:
    """One column per arm: levels above, differences below, each row with one scale."""
    arms = list(dict.fromkeys(panel.partition(": ")[0] for panel in data["panel"]))
    figure, cells = style.new_figure(2, len(arms), width=max(6.5, 4.4 * len(arms)), height=6.2)
    for row, label in zip(cells, (_LEVEL, _DIFFERENCE), strict=True):
        for column, (axes, arm) in enumerate(zip(row, arms, strict=True)):
            banded = ("all",) if label == _LEVEL else None
            lines.paint(axes, data[data["panel"] == f"{arm}: {label}"], _LOOKS, banded=banded)
            panels.label_outer(axes, left=column == 0, below=label == _DIFFERENCE, y_label=label)
            if label == _LEVEL:
                axes.set_title(arm)
            else:
                axes.axhline(0, color=style.ALL, linestyle=":", linewidth=1)
        _one_scale(data[data["panel"].str.endswith(label)], row, bottom=0 if label == _LEVEL else None)
    panels.add_legend(figure, cells[0])
    return figure


def negative_minus_positive(runs: Runs, arm: Arm) -> list[float]:
    """Of each run of the arm: mean over steps of the entropy of negative minus that of positive responses."""
    if arm.name not in runs.arms:
        return []
    negative, positive = (
        runs.series(arm.name, metric.name) for metric in (metrics.ENTROPY_NEGATIVE, metrics.ENTROPY_POSITIVE)
    )
    return [float(value) for value in (negative - positive).mean()]


def _one_scale(data: pd.DataFrame, row: list[Axes], bottom: float | None) -> None:
    low, high = data["value"].quantile([0.01, 0.99])
    margin = 0.35 * (high - low) or 0.1
    for axes in row:
        axes.set_ylim(low - margin if bottom is None else bottom, high + margin)
