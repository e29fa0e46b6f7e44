"""Painting final numbers: points with intervals over a few categories, published numbers as open marks."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import panels, style
from analysis.figures.style import Look

PUBLISHED = "published"
_SPREAD = 0.16


def grid(
    data: pd.DataFrame,
    look_of: Mapping[str, Look],
    *,
    columns: int,
    size: tuple[float, float],
    x_label: str = "",
    rotated: bool = False,
) -> Figure:
    """Panels in rows, categories along x, series side by side; one scale for a row.

    Args:
        data: a tidy table whose x are words; published series are those whose name begins with `PUBLISHED`.
        look_of: by series; a published one has the look of what follows its first word.
        columns: panels in a row.
        size: of a panel, inches.
        x_label: of the categories.
        rotated: whether the categories' names are too long to stand side by side.
    """
    names = list(data["panel"].unique())
    rows = -(-len(names) // columns)
    width, height = size
    figure, cells = style.new_figure(rows, columns, width=max(6.5, width * columns), height=height * rows + 1.4)
    flat = [axes for row in cells for axes in row]
    categories = list(data["x"].unique())
    for axes, name in zip(flat, names, strict=False):
        of_panel = data[data["panel"] == name]
        axes.set_label(name)
        axes.set_title(name)
        paint(axes, of_panel, categories, look_of)
        axes.set_xticks(
            range(len(categories)),
            [str(category).replace(" K =", "\nK =") for category in categories],
            rotation=25 if rotated else 0,
            ha="right" if rotated else "center",
            rotation_mode="anchor",
        )
        axes.set_xlim(-0.6, len(categories) - 0.4)
        axes.set_xlabel(x_label)
        axes.grid(visible=False, axis="x")
    for axes in flat[len(names) :]:
        axes.set_visible(False)
    panels.add_legend(figure, flat[: len(names)])
    return figure


def paint(axes: Axes, data: pd.DataFrame, categories: Sequence[object], look_of: Mapping[str, Look]) -> None:
    """The points of a panel, series beside each other at each category."""
    series = list(data["series"].unique())
    offsets = (np.arange(len(series)) - (len(series) - 1) / 2) * _SPREAD
    for offset, name in zip(offsets, series, strict=True):
        rows = data[data["series"] == name]
        at = np.array([categories.index(x) for x in rows["x"]]) + offset
        errorbars(axes, at, rows, str(name), look_of)


def errorbars(axes: Axes, at: object, rows: pd.DataFrame, name: str, look_of: Mapping[str, Look]) -> None:
    """A series of points; its line carries the name, its bars the interval."""
    published = name.startswith(PUBLISHED)
    look = look_of[name.removeprefix(PUBLISHED).strip(": ") if published else name]
    axes.errorbar(
        at,  # type: ignore[arg-type]  # positions
        rows["value"].to_numpy(dtype=float),
        yerr=None if published else reach(rows),
        fmt=look.marker,
        color=look.colour,
        markerfacecolor="white" if published else look.colour,
        markersize=6,
        capsize=3,
        elinewidth=1.4,
        label=name,
    )


def reach(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """How far intervals reach below and above their values, (2, rows); 0 where there is none."""
    ends = np.vstack([rows["value"] - rows["low"], rows["high"] - rows["value"]]).astype(np.float64)
    return np.maximum(np.nan_to_num(ends), 0)
