"""One look for every figure: colours, line styles, labelled axes, a caption below."""

import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import measuring
from analysis.runs import flaws
from analysis.runs.flaw import Kind
from analysis.runs.frames import ArmName, Runs
from analysis.wording import seeds_an_arm, span
from qae.console.text import brief, one_line
from qae.metrics import Metric
from qae.run_directory import RunStatus

Dash: TypeAlias = str | tuple[int, tuple[float, ...]]

# Okabe and Ito's palette, safe for colour-blind readers.
POSITIVE, NEGATIVE, ZERO, ALL = "#0072B2", "#D55E00", "#BBBBBB", "#000000"
ZERO_LINE = "#777777"
_OTHERS = ("#CC79A7", "#56B4E9", "#D55E00", "#009E73", "#E69F00", "#0072B2")
# From dark to light as K grows, so that the order shows in grey too.
_K_COLOURS = ("#440154", "#3B528B", "#1F9E89", "#D9A600")
_MARKERS = "osD^vPX*<>hd"
_LINES: tuple[Dash, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
_QUIET = "#444444"
# The line of a value that others are compared with: a start, or zero.
REFERENCE: dict[str, Any] = {"color": _QUIET, "linestyle": ":", "linewidth": 1.2}
DPI = 150
_SVG_DPI = 72  # matplotlib's unit in an SVG is the point
_CAPTION_POINTS = 8
_LEGEND_ROW_INCHES = 0.22
_LEGEND_LETTER_POINTS, _LEGEND_HANDLE_POINTS = 5.2, 48
_LEGEND_ROWS_ALLOWED_FOR = 2
_RC: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.titlesize": 11,
    "figure.constrained_layout.w_pad": 0.08,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "savefig.dpi": DPI,
    "svg.fonttype": "none",
    # Names of arms, tokens and data sets are no mathematics; no label of ours is.
    "text.parse_math": False,
    "text.usetex": False,
}
# Without dates, so that the same runs give the same file.
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Look:
    """How an arm's line is drawn: told apart by colour, and in grey by dash and marker."""

    colour: str
    dash: Dash
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Keywords for `Axes.plot`."""
        return {"color": self.colour, "linestyle": self.dash, "marker": self.marker}


@contextmanager
def house(settings: Mapping[Any, Any] | None = None) -> Iterator[None]:
    """The context in which figures are drawn and saved, with matplotlib's settings for some of them.

    A letter that the font lacks is a box in the picture; a warning for each of them would say no more. Whoever sets
    ``font.family`` to a list of fonts in matplotlibrc has it drawn.
    """
    with (
        mpl.rc_context({**_RC, **(settings or {})}),
        measuring.texts_once(),
        measuring.ticks_copied(),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def settle(figure: Figure, dpi: int = DPI, *, as_svg: bool = False) -> None:
    """Lay a figure out for good; matplotlib would do it again for each format, after a drawing that it throws away.

    Args:
        figure: whatever is still to be added to it gets no room.
        dpi: dots per inch at which texts are measured.
        as_svg: whether to measure texts as an SVG has them, which then need not be measured again to write it.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        measured_by = {"savefig.format": "svg" if as_svg else "png"}
        with house(measured_by), measuring.surroundings_once(figure):
            figure.set_dpi(_SVG_DPI if as_svg else dpi)
            engine.execute(figure)
        figure.set_layout_engine(None)  # "none" would leave an engine, for whose sake a figure is drawn twice


def save(figure: Figure, file: BinaryIO, suffix: str, *, dpi: int = DPI, name: str = "") -> None:
    """Write a figure.

    Args:
        figure: what to write.
        file: where to.
        suffix: png, svg or pdf.
        dpi: dots per inch of a PNG.
        name: of the figure. The ids of an SVG depend on it, so that several can stand in one page.
    """
    with house({"svg.hashsalt": f"qae {name}"}), measuring.ticks_once(figure):
        figure.savefig(file, format=suffix, metadata=_METADATA.get(suffix), dpi=dpi)


def new_figure(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of axes.

    Args:
        rows: of the grid.
        columns: of the grid.
        width: of the whole, inches.
        height: of the whole, inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def looks(arms: Sequence[ArmName]) -> dict[ArmName, Look]:
    """A look for each arm.

    Colour tells the baseline (black for the mean, dark to light as K grows) and the dash the variant. Where all
    arms have one baseline, colour tells the variant.
    """
    variants = list(dict.fromkeys(arm.variant for arm in arms))
    baselines = list(dict.fromkeys(arm.baseline for arm in arms))
    by_variant = len(baselines) == 1 and len(variants) > 1
    colours = _variant_colours(variants) if by_variant else _baseline_colours(arms)
    return {
        arm: Look(
            colours[arm.variant if by_variant else arm.baseline],
            _LINES[variants.index(arm.variant) % len(_LINES)],
            _MARKERS[index % len(_MARKERS)],
        )
        for index, arm in enumerate(arms)
    }


def baseline_looks(arms: Iterable[ArmName]) -> dict[ArmName, Look]:
    """A look for each baseline, whose name is that of an arm without a variant."""
    return looks(list(dict.fromkeys(ArmName(arm.baseline, arm.k, "") for arm in arms)))


def label_axes(axes: Axes, metric: Metric) -> None:
    """Name the axes with units: global step below, the metric at the side."""
    axes.set_xlabel("Global step")
    axes.set_ylabel(labelled(metric))


def labelled(metric: Metric) -> str:
    """A metric's label with its unit."""
    return metric.label if metric.unit in ("1", "fraction") else f"{metric.label} ({metric.unit})"


def add_legend(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """One legend above the panels; a figure grows where it is long, a label that is wider than it is shortened."""
    width = figure.get_figwidth() * 72
    longest = int((width - _LEGEND_HANDLE_POINTS) / _LEGEND_LETTER_POINTS)
    entries = {label if len(label) <= longest else brief(label, longest): line for label, line in entries.items()}
    widths = [_LEGEND_LETTER_POINTS * len(label) + _LEGEND_HANDLE_POINTS for label in entries]
    fitting = len(entries) if sum(widths) < width else max(1, int(width / max(widths)))
    rows = math.ceil(len(entries) / fitting)
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW_INCHES * max(0, rows - _LEGEND_ROWS_ALLOWED_FOR))
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside upper center",
        ncols=max(1, math.ceil(len(entries) / max(1, rows))),
        frameon=False,
        handlelength=2.6,
    )


def add_caption(figure: Figure, text: str) -> None:
    """Put a caption below the figure, wrapped to its width."""
    characters = int(figure.get_figwidth() * 72 / (_CAPTION_POINTS * 0.56))
    figure.supxlabel(
        textwrap.fill(one_line(text), characters),
        fontsize=_CAPTION_POINTS,
        color=_QUIET,
        x=0.01,
        ha="left",
        va="bottom",
    )


def sizes(runs: Runs, source: str) -> str:
    """The end of a caption: seeds, problems, samples and source."""
    text = f"n = {seeds_an_arm(len(records) for records in runs.arms.values())}"
    if not runs.evaluations.empty:
        problems = runs.evaluations.drop_duplicates(["run", "data_set", "problem"]).groupby("run", observed=True).size()
        text += f", {span(problems)} held-out problems with {span(runs.evaluations['n'].unique())} samples each"
    unfinished = sum(record.status is not RunStatus.DONE for record in runs.records)
    text += f", {unfinished} of {len(runs.records)} runs not done" if unfinished else ""
    return f"{text}. {_broken(runs)}Source: {source}."


def _broken(runs: Runs) -> str:
    """What a reader must know of lines that break: runs with infinite or missing values."""
    found = {flaw.run for flaw in flaws.of(runs) if flaw.kind in (Kind.INFINITE, Kind.VALUES)}
    if not found:
        return ""
    return (
        f"{len(found)} of {len(runs.records)} runs have infinite or undefined values (qae report names them): lines "
        "break where a mean is infinite, and means lack what is undefined. "
    )


def _baseline_colours(arms: Sequence[ArmName]) -> dict[str, str]:
    colours = {"mean": ALL}
    others = 0
    for arm in arms:
        if arm.baseline in colours:
            continue
        if arm.k is not None and arm.baseline.startswith("K"):
            colours[arm.baseline] = _k_colour(arm.k)
        else:
            colours[arm.baseline] = _OTHERS[others % len(_OTHERS)]
            others += 1
    return colours


def _variant_colours(variants: Sequence[str]) -> dict[str, str]:
    plain_first = sorted(variants, key=bool)
    palette = (ALL, *_OTHERS) if "" in variants else _OTHERS
    return {variant: palette[index % len(palette)] for index, variant in enumerate(plain_first)}


def _k_colour(k: float) -> str:
    position = float(np.clip((k - 0.2) / 0.6, 0, 1)) * (len(_K_COLOURS) - 1)
    low = min(int(position), len(_K_COLOURS) - 2)
    ends = [np.array(mpl.colors.to_rgb(_K_COLOURS[index])) for index in (low, low + 1)]
    return str(mpl.colors.to_hex(ends[0] + (position - low) * (ends[1] - ends[0])))
