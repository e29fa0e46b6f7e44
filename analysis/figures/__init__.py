"""One module a figure: `draw(runs, source) -> Figure`. A new figure is one new file here.

Those of this folder draw any runs, those of `analysis.figures.paper` the runs that their experiment makes.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from matplotlib.figure import Figure

from analysis.figures import paper, style
from analysis.figures.missing import MissingDataError
from analysis.runs import Runs


class FigureModule(Protocol):
    """What a module of this package offers."""

    def draw(self, runs: Runs, source: str) -> Figure:
        """Draw the runs; `source` says in the caption where they come from.

        Raises:
            MissingDataError: the runs lack what the figure shows.
        """
        ...


@dataclass(frozen=True)
class Written:
    """Figures on disk.

    Attributes:
        paths: a file a figure and format.
        left_out: by figure, why it could not be drawn.
        remarks: by figure that was drawn, sentences on runs that it lacks or that ended early.
    """

    paths: tuple[Path, ...]
    left_out: dict[str, str]
    remarks: dict[str, str]


def names() -> list[str]:
    """Figures that draw any runs: the modules of this package that draw."""
    modules = [info.name for info in pkgutil.iter_modules(__path__) if not info.ispkg]
    return sorted(name for name in modules if hasattr(importlib.import_module(f"{__name__}.{name}"), "draw"))


def title(name: str) -> str:
    """The first line of a figure's docstring."""
    return (importlib.import_module(f"{__name__}.{name}").__doc__ or name).strip().splitlines()[0]


def draw(name: str, runs: Runs, source: str) -> Figure:
    """Draw a figure in the house style, one of `names()` or of `paper.names()`.

    Raises:
        MissingDataError: the runs lack what the figure shows.
    """
    if name in paper.names():
        return paper.draw(name, runs, source)
    module = cast("FigureModule", importlib.import_module(f"{__name__}.{name}"))
    with style.house():
        return module.draw(runs, source)


def write(runs: Runs, wanted: Iterable[str], directory: Path, formats: Sequence[str], *, source: str) -> Written:
    """Draw figures to files; those that lack their data are left out.

    A figure of the paper comes with what it draws, `<name>.csv`.

    Args:
        runs: what to draw.
        wanted: names of figures.
        directory: where the files go, `<name>.<format>`.
        formats: of png, svg and pdf.
        source: for the captions, where the runs come from.
    """
    paths: list[Path] = []
    left_out: dict[str, str] = {}
    remarks: dict[str, str] = {}
    of_paper = paper.names()
    for name in wanted:
        try:
            prepared = paper.prepare(name, runs) if name in of_paper else None
            figure = paper.paint(prepared, source) if prepared else draw(name, runs, source)
        except MissingDataError as error:
            left_out[name] = str(error)
            continue
        directory.mkdir(parents=True, exist_ok=True)
        if prepared:
            paths.append(directory / f"{name}.csv")
            prepared.data.to_csv(paths[-1], index=False)
            remarks |= {name: prepared.remarks} if prepared.remarks else {}
        for suffix in formats:
            paths.append(directory / f"{name}.{suffix}")
            style.save(figure, paths[-1])
    return Written(tuple(paths), left_out, remarks)
