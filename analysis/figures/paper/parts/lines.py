"""Painting curves: one panel per quantity, one line per arm."""

from collections.abc import Collection, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import curves, panels, style
from analysis.figures.paper.selection import Needs
from analysis.figures.style import Look

_SHARES = ("pass@1", "pass@16")


def looks(needs: Needs) -> dict[str, Look]:
    """The look of each arm, by its name; the same whether or not its runs are there."""
    return {str(arm): look for arm, look in style.looks([arm.name for arm in needs.arms]).items()}


def side_by_side(data: pd.DataFrame, look_of: Mapping[str, Look]) -> Figure:
    """Panels in a row with one legend."""
    labels = list(data["panel"].unique())
    figure, [axes] = style.new_figure(1, len(labels), width=max(6.5, 3.7 * len(labels)), height=4.6)
    for panel, label in zip(axes, labels, strict=True):
        paint(panel, data[data["panel"] == label], look_of)
        panel.set_xlabel("Global step")
        panel.set_ylabel(label)
        if label in _SHARES:
            panel.set_ylim(0, 1)
        else:
            curves.fit_to_lines(panel, bottom=0)
    panels.add_legend(figure, axes)
    return figure


def paint(
    axes: Axes, data: pd.DataFrame, look_of: Mapping[str, Look], *, banded: Collection[str] | None = None
) -> None:
    """The lines of a panel; the axes carry the panel's name as their label.

    Args:
        axes: where.
        data: the panel's rows.
        look_of: by series.
        banded: series with a band; by default all that have several seeds.
    """
    for series, rows in data.groupby("series", sort=False):
        axes.set_label(str(rows["panel"].iloc[0]))
        curve = rows.set_index("x")[["value", "low", "high"]]
        with_band = bool((rows["seeds"] > 1).any() or (curve["high"] > curve["low"]).any())
        with_band = with_band and (banded is None or series in banded)
        look = look_of[str(series)].line
        if len(curve) <= 10:
            look = {**look, "markevery": 1}
        curves.line_with_band(axes, curve, str(series), look, band=with_band)
