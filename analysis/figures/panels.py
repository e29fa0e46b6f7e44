"""Small multiples: one panel per arm, shared scales, one legend."""

import math
import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import style
from qae.console.text import one_line

MOST_COLUMNS = 6
_TITLE_LETTERS = 27


def columns_for(count: int) -> int:
    """How many panels stand side by side: full rows of up to six, and near-equal ones beyond."""
    return math.ceil(count / math.ceil(count / MOST_COLUMNS))


def small_multiples(names: Sequence[str], y_label: str, *, columns: int | None = None) -> tuple[Figure, list[Axes]]:
    """A figure with a titled panel for each name, in order; scales are shared and only outer axes are labelled.

    Args:
        names: titles.
        y_label: of the panels.
        columns: panels side by side; by default as `columns_for` says.
    """
    columns = columns or columns_for(len(names))
    rows = math.ceil(len(names) / columns)
    figure, cells = style.new_figure(rows, columns, width=max(6.0, 2.6 * columns + 0.5), height=2.3 * rows + 1.4)
    flat = [axes for row in cells for axes in row]
    for axes in flat[len(names) :]:
        axes.set_visible(False)
    panels = flat[: len(names)]
    for index, (name, axes) in enumerate(zip(names, panels, strict=True)):
        axes.set_title(wrapped(name))
        label_outer(axes, left=index % columns == 0, below=index + columns >= len(names), y_label=y_label)
        axes.sharex(panels[0])
        axes.sharey(panels[0])
    return figure, panels


def wrapped(title: str) -> str:
    """A title in lines that are no wider than a panel."""
    lines = (textwrap.wrap(one_line(line), _TITLE_LETTERS) for line in title.splitlines())
    return "\n".join(part for line in lines for part in line)


def label_outer(axes: Axes, *, left: bool, below: bool, y_label: str) -> None:
    """Label a panel's axes and ticks only where no panel stands beyond them."""
    axes.tick_params(labelleft=left, labelbottom=below)
    if left:
        axes.set_ylabel(y_label)
    if below:
        axes.set_xlabel("Global step")


def add_legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """One legend for all panels."""
    entries = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    style.add_legend(figure, entries)
