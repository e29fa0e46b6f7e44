"""One module a figure: `draw(runs, source) -> Figure`. A new figure is one new file here.

Those of this folder draw any runs, those of `analysis.figures.paper` the runs that their experiment makes.
"""

import importlib
import pkgutil

from matplotlib.figure import Figure

from analysis.figures import paper, style
from analysis.runs.frames import Runs


def names() -> list[str]:
    """Figures that draw any runs: the modules of this package that draw."""
    modules = [info.name for info in pkgutil.iter_modules(__path__) if not info.ispkg]
    return sorted(name for name in modules if hasattr(importlib.import_module(f"{__name__}.{name}"), "draw"))


def title(name: str) -> str:
    """The first line of a figure's docstring."""
    return (importlib.import_module(f"{__name__}.{name}").__doc__ or name).strip().splitlines()[0]


def draw(name: str, runs: Runs, source: str) -> Figure:
    """Draw a figure in the house style, one of `names()` or of `paper.names()`.

    Args:
        name: of the figure.
        runs: what is drawn.
        source: says in the caption where they come from.

    Raises:
        MissingDataError: the runs lack what the figure shows.
    """
    if name in paper.names():
        return paper.draw(name, runs, source)
    with style.house():
        figure: Figure = importlib.import_module(f"{__name__}.{name}").draw(runs, source)
        return figure
