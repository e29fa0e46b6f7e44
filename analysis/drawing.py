"""Figures as bytes: each is laid out once, and they are drawn side by side where this process has several cores."""

import io
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis import figures
from analysis.figures import paper, style
from analysis.figures.missing import MissingDataError
from analysis.figures.paper.findings import Finding
from analysis.garbage import rare_collections
from analysis.runs.frames import RunRecord, Runs
from qae.console.text import encodable
from qae.run_directory import write_atomic

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

_MOST_PROCESSES = 8  # a login node has other users


@dataclass(frozen=True)
class Form:
    """How figures are written.

    Attributes:
        formats: of png, svg and pdf.
        dpi: dots per inch of a PNG.
    """

    formats: Sequence[str]
    dpi: int = style.DPI


@dataclass(frozen=True)
class Drawn:
    """A figure, or why there is none.

    Attributes:
        name: of the figure.
        left_out: why it could not be drawn; "" where it was.
        files: its content by format.
        data: what a figure of the paper draws, as a tidy table; None for others.
        findings: what a figure of the paper says of the paper's claims.
        remarks: sentences on runs that it lacks or that ended early, or "".
        records: the runs that a figure of the paper has chosen.
    """

    name: str
    left_out: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    data: pd.DataFrame | None = None
    findings: tuple[Finding, ...] = ()
    remarks: str = ""
    records: tuple[RunRecord, ...] = ()


@dataclass(frozen=True)
class Written:
    """Figures on disk.

    Attributes:
        paths: one file per figure and format.
        left_out: by figure, why it could not be drawn.
        remarks: by figure that was drawn, sentences on runs that it lacks or that ended early.
    """

    paths: tuple[Path, ...]
    left_out: dict[str, str]
    remarks: dict[str, str]


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
    drawn = draw_all(runs, wanted, source, Form(formats))
    paths: list[Path] = []
    for figure in drawn:
        files = dict(figure.files)
        if figure.data is not None:
            files = {"csv": encodable(figure.data.to_csv(index=False)).encode(), **files}
        for suffix, content in files.items():
            paths.append(directory / f"{figure.name}.{suffix}")
            write_atomic(paths[-1], content)
    return Written(
        tuple(paths),
        {figure.name: figure.left_out for figure in drawn if figure.left_out},
        {figure.name: figure.remarks for figure in drawn if figure.remarks},
    )


def title(name: str) -> str:
    """What a figure shows, in words."""
    return paper.title(name) if name in paper.names() else figures.title(name)


def processes(count: int) -> int:
    """How many processes draw `count` figures: one a core that this process may use.

    One alone where another thread runs, whose locks a forked process would find held for ever, and on systems whose
    libraries do not bear a fork.
    """
    if not sys.platform.startswith("linux") or threading.active_count() > 1:
        return 1
    return min(count, len(os.sched_getaffinity(0)), _MOST_PROCESSES)


def draw_all(runs: Runs, names: Iterable[str], source: str, form: Form) -> list[Drawn]:
    """Draw figures of any kind.

    Args:
        runs: what to draw; a figure of the paper takes those that it needs.
        names: of the figures, each once in the result and in this order.
        source: for the captions, where the runs come from.
        form: of the files.
    """
    with begun(runs, names, source, form) as drawn:
        return drawn()


@contextmanager
def begun(runs: Runs, names: Iterable[str], source: str, form: Form) -> Iterator[Callable[[], list[Drawn]]]:
    """As `draw_all`, for a caller with other work to do: figures are drawn meanwhile, by the processes beside this one.

    Yields:
        draws what is left, in this process too, and returns all.
    """
    wanted = tuple(dict.fromkeys(names))
    draw = partial(_draw, runs, source, form)
    number = processes(len(wanted))
    if number <= 1:
        yield lambda: [draw(name) for name in wanted]
        return
    # Forked, so that the runs need not be sent and nothing is imported again.
    context = multiprocessing.get_context("fork")
    share = _Share(wanted, draw, context.Value("i", 0))
    with (
        rare_collections(),
        ProcessPoolExecutor(number - 1, context, initializer=_shares.append, initargs=(share,)) as pool,
    ):
        others = [pool.submit(_draw_share) for _ in range(number - 1)]
        try:
            yield lambda: share.with_others(other.result() for other in others)
        finally:
            share.end()


class _Share:
    """Figures that several processes draw. Each takes the next one that none has taken yet."""

    def __init__(self, names: Sequence[str], draw: Callable[[str], Drawn], taken: "Synchronized[int]") -> None:
        self._names, self._draw, self._taken = names, draw, taken

    def drawn(self) -> list[Drawn]:
        """The figures that this process drew, once no figure is left."""
        found = []
        while (index := self._take()) < len(self._names):
            found.append(self._draw(self._names[index]))
        return found

    def with_others(self, others: Iterable[list[Drawn]]) -> list[Drawn]:
        """All figures in order; once none is left, the other processes hand theirs over."""
        found = {figure.name: figure for drawn in chain([self.drawn()], others) for figure in drawn}
        return [found[name] for name in self._names]

    def end(self) -> None:
        """Let no process take another figure."""
        with self._taken.get_lock():
            self._taken.value = len(self._names)

    def _take(self) -> int:
        with self._taken.get_lock():
            self._taken.value += 1
            return self._taken.value - 1


_shares: list[_Share] = []


def _draw_share() -> list[Drawn]:
    return _shares[-1].drawn()


def _draw(runs: Runs, source: str, form: Form, name: str) -> Drawn:
    # A figure's tables have tens of rows, for which Arrow's strings are the slower ones.
    with pd.option_context("mode.string_storage", "python"):
        return _drawn(runs, source, form, name)


def _drawn(runs: Runs, source: str, form: Form, name: str) -> Drawn:
    try:
        prepared = paper.prepare(name, runs) if name in paper.names() else None
        figure = paper.paint(prepared, source) if prepared else figures.draw(name, runs, source)
    except MissingDataError as error:
        return Drawn(name, left_out=str(error))
    style.settle(figure, form.dpi, as_svg=set(form.formats) == {"svg"})
    files = {}
    for suffix in form.formats:
        file = io.BytesIO()
        style.save(figure, file, suffix, dpi=form.dpi, name=name)
        files[suffix] = file.getvalue()
    if prepared is None:
        return Drawn(name, files=files)
    return Drawn(name, "", files, prepared.data, prepared.findings, prepared.remarks, prepared.runs.records)
