"""The paper's figures and tables (`published`), and ours beside them (`ours`): one module per figure.

A module says which runs it needs (`NEEDS`), makes a tidy table of them (`table`), paints that table and nothing else
(`paint`), and judges the paper's claims on them (`findings`).
"""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.missing import MissingDataError
from analysis.figures.paper import ours, published
from analysis.figures.paper.findings import Finding, Verdict
from analysis.figures.paper.selection import Needs, select
from analysis.runs.frames import Runs

_CLIP = "All arms with Clip-Higher (0.28) but those whose name says otherwise."


class PaperFigure(Protocol):
    """What a module of this package offers.

    Attributes:
        NEEDS: the runs.
        CAPTION: what is drawn, in a sentence or two.
    """

    NEEDS: Needs
    CAPTION: str

    def table(self, runs: Runs) -> pd.DataFrame:
        """What is drawn: columns panel, series, x, value, low, high, seeds; runs are a selection's."""
        ...

    def paint(self, data: pd.DataFrame) -> Figure:
        """Draw the table."""
        ...

    def findings(self, runs: Runs) -> Sequence[Finding]:
        """The paper's claims that the figure is about; runs are a selection's."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A figure's content, before it is painted.

    Attributes:
        name: of the figure.
        runs: the runs it draws.
        data: its tidy table.
        findings: the paper's claims.
        ended_early: a sentence on runs that are drawn though they ended before their last step, or "".
        missing: sentences on missing and failed runs, or "".
    """

    name: str
    runs: Runs
    data: pd.DataFrame
    findings: tuple[Finding, ...]
    ended_early: str
    missing: str

    @property
    def remarks(self) -> str:
        """All that is to be said of runs that did not reach their last step, or are not there; or ""."""
        return " ".join(filter(None, (self.ended_early, self.missing)))


@cache
def names() -> tuple[str, ...]:
    """Every figure and table: those of the paper in its order, then ours."""
    return tuple(sorted(_modules(), key=_place))


def of_experiment(experiment: str) -> tuple[str, ...]:
    """Figures whose runs an experiment makes: `fig5` is the experiment of 5a, 5b and 5c."""
    return tuple(name for name in names() if _module(name).NEEDS.experiment == experiment)


def title(name: str) -> str:
    """The first line of the module's docstring."""
    return (_module(name).__doc__ or name).strip().splitlines()[0].rstrip(".")


def needs_of(name: str) -> Needs:
    """The runs that a figure asks for."""
    return _module(name).NEEDS


def prepare(name: str, runs: Runs) -> Prepared:
    """Select a figure's runs and make its table.

    Raises:
        MissingDataError: none of its runs is there, or they lack what it shows.
    """
    module = _module(name)
    selection = select(runs, module.NEEDS)
    data = module.table(selection.runs)
    if data.empty:
        raise MissingDataError(
            f"the runs have not logged what {name} shows; `python sweep.py -m +experiment={module.NEEDS.experiment}` "
            "makes runs that do"
        )
    found = tuple(finding.explained(selection.runs.records) for finding in module.findings(selection.runs))
    return Prepared(name, selection.runs, data, found, selection.ended_early, selection.missing)


def paint(prepared: Prepared, source: str) -> Figure:
    """Draw a prepared figure with its caption."""
    module = _module(prepared.name)
    with style.house():
        figure = module.paint(prepared.data)
        style.add_caption(figure, caption(prepared, source))
    return figure


def caption(prepared: Prepared, source: str) -> str:
    """What is drawn, what it rests on, what it says of the paper's claims, and which runs are missing."""
    rests_on = f"{_CLIP} {style.sizes(prepared.runs, source)}" if prepared.runs.records else "Formulas; no runs."
    judged = [str(finding) for finding in prepared.findings if finding.verdict is not Verdict.UNKNOWN]
    against = f"Against the paper: {'; '.join(judged)}." if judged else ""
    parts = (_module(prepared.name).CAPTION, rests_on, against, prepared.remarks)
    return " ".join(filter(None, parts))


def draw(name: str, runs: Runs, source: str) -> Figure:
    """Draw a figure from whatever runs are at hand.

    Raises:
        MissingDataError: there is nothing to draw.
    """
    return paint(prepare(name, runs), source)


@cache
def _modules() -> dict[str, str]:
    """Import path of each figure's module, by the figure's name."""
    return {
        info.name: f"{package.__name__}.{info.name}"
        for package in (published, ours)
        for info in pkgutil.iter_modules(package.__path__)
    }


def _module(name: str) -> PaperFigure:
    # A module is no instance of a protocol to the type checker unless it is imported by its name.
    return cast("PaperFigure", importlib.import_module(_modules()[name]))


def _place(name: str) -> tuple[int, int, str]:
    """Figures by number, then tables, then ours."""
    for rank, prefix in enumerate(("fig", "table")):
        if name.startswith(prefix) and name[len(prefix) : len(prefix) + 1].isdigit():
            digits = "".join(letter for letter in name[len(prefix) :] if letter.isdigit())
            return (rank, int(digits), name)
    return (2, 0, name)
