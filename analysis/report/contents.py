"""What the report shows, as plain records that the template lays out."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from analysis import comparison, drawing, figures, statistics, table, wording
from analysis.drawing import Drawn, Form
from analysis.figures import paper
from analysis.figures.paper.findings import Finding, Verdict
from analysis.report import quality
from analysis.runs.frames import RunRecord, Runs
from analysis.statistics import Mean
from qae import metrics
from qae.console.text import brief, one_line

_NOTHING = "—"
# Names of options stand for the keys that they set; that of the experiment sets none.
_OPTIONS = ("labels.model", "labels.regularizer", "labels.advantage", "labels.data")
# Of all figures the first to look at.
_FIRST = "entropy_and_pass"
_FORM = Form(("svg",))
_VALUE_LETTERS = 300
_DIGITS = {"entropy": 2, "pass@k": 3, "share": 2, "length": 1}


class _Interval(Protocol):
    """A number with the ends of its interval: a mean over seeds or a bootstrap estimate."""

    @property
    def value(self) -> float: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    @property
    def seeds(self) -> int: ...


@dataclass(frozen=True)
class Cell:
    """A table's cell.

    Attributes:
        text: the value.
        interval: its interval, or "".
        sort: what the column sorts by; the text where it is None.
    """

    text: str
    interval: str = ""
    sort: float | None = None


@dataclass(frozen=True)
class Table:
    """A sortable table: the first `text_columns` columns are words, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text_columns: int


@dataclass(frozen=True)
class Picture:
    """A figure as an SVG that can stand in a page, with what it shows in words."""

    name: str
    title: str
    svg: str


@dataclass(frozen=True)
class Contents:
    """The whole report.

    Attributes:
        title, source: of the report.
        results, caption: the result table and what its numbers are.
        comparison, comparison_caption: the differences between arms and what their numbers are.
        configuration: the keys that tell arms apart.
        runs: one row per run.
        claims: what the runs say of the paper's claims; of those only that they can speak to.
        pictures: every figure that the runs have data for.
        fonts: CSS rules with the letters of the pictures.
        left_out: (figure, why) of the others.
        findings: what is wrong with the data.
        notes: sentences on runs that are not in the result table.
    """

    title: str
    source: str
    results: Table
    caption: str
    comparison: Table
    comparison_caption: str
    configuration: Table
    runs: Table
    claims: Table
    pictures: tuple[Picture, ...]
    fonts: str
    left_out: tuple[tuple[str, str], ...]
    findings: tuple[quality.Finding, ...]
    notes: tuple[str, ...]


def figure_names() -> list[str]:
    """Every figure that there is, in the order of the report."""
    return sorted((*figures.names(), *paper.names()), key=lambda name: name != _FIRST)


def collect(runs: Runs, title: str, source: str, *, with_figures: bool = True) -> Contents:
    """Everything that the report shows of some runs.

    Args:
        runs: what to report.
        title: of the report.
        source: where the runs come from, for captions.
        with_figures: whether to draw, which takes most of the time.
    """
    with drawing.begun(runs, figure_names() if with_figures else (), source, _FORM) as begun:
        tables = _tables(runs, title, source)
        from analysis.report import inline  # its fontTools is slow to import: not before others draw

        drawn = begun()
    pictures = tuple(
        Picture(figure.name, drawing.title(figure.name), inline.svg(figure.files["svg"]))
        for figure in drawn
        if not figure.left_out
    )
    return replace(
        tables,
        claims=_claims(drawn),
        pictures=pictures,
        fonts=inline.font_faces(inline.letters(picture.svg for picture in pictures)),
        left_out=tuple((figure.name, one_line(figure.left_out)) for figure in drawn if figure.left_out),
    )


def _tables(runs: Runs, title: str, source: str) -> Contents:
    """The report without figures."""
    results = table.summarise(runs)
    pairs = comparison.default_pairs(runs)
    differences = comparison.compare(runs, pairs)
    told = {(of.first, of.second, of.measure.name) for of in differences}
    absent = comparison.left_out(runs, pairs, comparison.MEASURES, told)
    return Contents(
        title=one_line(title),
        source=one_line(source),
        results=_results(results.rows),
        caption=table.caption(results),
        comparison=_comparison(differences),
        comparison_caption=one_line(" ".join((comparison.frame_caption(differences), *absent))),
        configuration=_configuration(runs),
        runs=_runs(runs),
        claims=_claims(()),
        pictures=(),
        fonts="",
        left_out=(),
        findings=tuple(
            quality.Finding(found.kind, one_line(found.where), one_line(found.text)) for found in quality.check(runs)
        ),
        notes=tuple(one_line(note) for note in results.notes if note not in runs.all_notes),
    )


def _results(rows: Sequence[table.ArmResult]) -> Table:
    cells = tuple(
        (
            Cell(brief(row.arm)),
            Cell(str(row.seeds) if row.seeds == row.runs else f"{row.seeds} of {row.runs}", sort=float(row.seeds)),
            _number(row.step),
            _estimate(row.entropy_final, "entropy", row.seeds),
            _estimate(row.entropy_peak, "entropy", row.seeds),
            _estimate(row.pass_1, "pass@k", row.seeds),
            _estimate(row.pass_16, "pass@k", row.seeds),
            _estimate(row.zero_share, "share", row.seeds),
            _estimate(row.length, "length", row.seeds),
        )
        for row in rows
    )
    return Table(table.COLUMNS, cells, text_columns=1)


def _runs(runs: Runs) -> Table:
    columns = ("run", "arm", "status", "seed", "step", "of", "entropy", "pass@1", "pass@16", "problems", "samples")
    return Table(columns, tuple(_run(runs, record) for record in runs.records), text_columns=3)


def _run(runs: Runs, record: RunRecord) -> tuple[Cell, ...]:
    entropy = runs.series(record.arm, metrics.ENTROPY.name)
    own = entropy[record.id].dropna() if record.id in entropy else None
    counts = table.whole_counts(runs, record.arm)
    counts = counts[counts["run"] == record.id]
    last = int(counts["step"].max()) if len(counts) else -1
    at_last = counts[counts["step"] == last]
    return (
        Cell(brief(record.id)),
        Cell(record.arm.shown),
        Cell(record.status.shown),
        _number(record.seed),
        _number(record.step),
        _number(record.total_steps) if record.total_steps else Cell(_NOTHING),
        Cell(_NOTHING) if own is None or own.empty else _estimate(float(own.iloc[-1]), "entropy"),
        _estimate(statistics.pass_at_k_estimate(at_last, last, 1), "pass@k"),
        _estimate(statistics.pass_at_k_estimate(at_last, last, 16), "pass@k"),
        _number(len(at_last)),
        _number(int(at_last["n"].min())) if len(at_last) else Cell(_NOTHING),
    )


def _comparison(differences: Sequence[comparison.Difference]) -> Table:
    """One row per pair of arms, one column per measure; a star where the difference is separated from zero."""
    measures = tuple(dict.fromkeys(of.measure for of in differences))
    pairs: dict[str, dict[comparison.Measure, comparison.Difference]] = {}
    for of in differences:
        pairs.setdefault(of.shown, {})[of.measure] = of
    rows = []
    for pair, found in pairs.items():
        seeds, steps = [of.seeds for of in found.values()], [of.step for of in found.values()]
        cells = (_difference(found[measure]) if measure in found else Cell(_NOTHING) for measure in measures)
        rows.append((Cell(pair), _sizes(seeds), _sizes(steps), *cells))
    columns = ("difference", "seeds", "step", *(measure.label for measure in measures))
    return Table(columns, tuple(rows), text_columns=1)


def _sizes(sizes: Sequence[int]) -> Cell:
    """What is one size for most rows, and a range where measures rest on different ones."""
    return Cell(wording.span(sizes), sort=float(max(sizes)))


def _difference(of: comparison.Difference) -> Cell:
    digits = of.measure.digits
    known = math.isfinite(of.low) and math.isfinite(of.high)
    interval = f"[{of.low:+.{digits}f}, {of.high:+.{digits}f}]" if known else ""
    return Cell(f"{wording.signed(of.value, digits)}{' *' if of.is_separated else ''}", interval, of.value)


def _configuration(runs: Runs) -> Table:
    """Keys whose value differs between arms: one row per key, one column per arm; transposed where arms are more."""
    first = {arm.shown: records[0].config for arm, records in runs.arms.items()}
    keys = dict.fromkeys(key for config in first.values() for key in config)
    differing = {}
    for key in keys:
        values = [_shown(config.get(key)) for config in first.values()]
        if len(set(values)) > 1 and (not runs.rule.is_left_out(key) or key in _OPTIONS):
            differing[brief(key)] = values
    if len(first) <= len(differing):
        columns, lines = ("key", *first), [(key, *values) for key, values in differing.items()]
    else:
        columns, lines = ("arm", *differing), list(zip(first, *differing.values(), strict=True)) if differing else []
    return Table(columns, tuple(tuple(map(Cell, line)) for line in lines), text_columns=len(columns))


def _claims(drawn: Iterable[Drawn]) -> Table:
    """One row per claim, however many figures are about it."""
    claims: dict[Finding, list[str]] = {}
    for figure in drawn:
        for finding in figure.findings:
            if finding.verdict is not Verdict.UNKNOWN:
                claims.setdefault(finding, []).append(figure.name)
    rows = (
        (Cell(found.claim), Cell(str(found.verdict)), Cell(found.numbers), Cell(", ".join(names)))
        for found, names in claims.items()
    )
    return Table(("the paper's claim", "here", "on", "figures"), tuple(rows), text_columns=4)


def _estimate(value: _Interval | float | None, what: str, seeds: int = 0) -> Cell:
    """A number with its interval, and of how many of the row's seeds it is where it is not of all."""
    digits = _DIGITS[what]
    if value is None:
        return Cell(_NOTHING)
    if isinstance(value, float):
        return Cell(f"{value:.{digits}f}", sort=value)
    of_seeds = wording.some_of(value.seeds, seeds)
    alone = isinstance(value, Mean) and value.seeds == 1
    ends = "" if alone else wording.interval(value.low, value.high, digits)
    return Cell(f"{value.value:.{digits}f}", " ".join(filter(None, (ends, of_seeds))), value.value)


def _number(value: int) -> Cell:
    return Cell(str(value), sort=float(value))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "not set" if value is None else brief(value, _VALUE_LETTERS)
