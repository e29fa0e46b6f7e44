"""Pareto: final pass@16 against final pass@1 of baselines and regularizers, beside the paper's Table 2."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import published
from analysis.figures import style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import lines, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

if TYPE_CHECKING:
    from matplotlib.artist import Artist

_REGULARIZERS = ("clip_symmetric", "clip_cov", "kl_cov", "gspo")
_PLAIN = (Arm(), *(Arm(k) for k in (0.2, 0.4, 0.6, 0.8)))
_OTHER_RULES = (*(Arm(0.4, rule=rule) for rule in ("pos_mask", "neg_mask")), Arm(rule="token_mean"))
_OTHERS = tuple(Arm(k, regularizer=name) for name in _REGULARIZERS for k in (None, 0.4))
NEEDS = Needs("pareto", (*_PLAIN, *_OTHER_RULES, *_OTHERS))
CAPTION = (
    "Left: unbiased pass@16 against pass@1 over all held-out problems at the last evaluation, 95 % intervals. "
    "Right: the paper's Table 2, AIME24; arrows lead from the mean to K = 0.4. Filled points are not dominated in "
    "their panel (no other mean is higher in both)."
)
# One marker a regularizer, so that its pair of mean (black) and K = 0.4 is found at a glance.
_MARKERS = dict(zip(_REGULARIZERS, "*>dp", strict=True))
_HERE, _PAPER = "here", "paper, AIME24"


def table(runs: Runs) -> pd.DataFrame:
    """Two rows a point, whose x says which of its coordinates the value is."""
    frames = [
        tidy.row(_HERE, str(arm), f"pass@{k}", tidy.pooled_pass_at(runs, arm, k)) for arm in runs.arms for k in (1, 16)
    ]
    if not any(len(frame) for frame in frames):
        return tidy.join(())
    for score in published.TABLE_2:
        if score.data_set == "AIME24" and score.pass_16 is not None:
            name = str(Arm(published.DEFAULT_K if score.quantile else None, regularizer=score.regularizer).name)
            frames.append(tidy.published(_PAPER, name, "pass@1", score.pass_1))
            frames.append(tidy.published(_PAPER, name, "pass@16", score.pass_16))
    return tidy.join(frames)


def paint(data: pd.DataFrame) -> Figure:
    """Ours and the paper's."""
    looks = lines.looks(NEEDS)
    figure, [axes] = style.new_figure(1, 2, width=11.5, height=6.0)
    handles: dict[str, Artist] = {}
    for panel, name in zip(axes, (_HERE, _PAPER), strict=True):
        panel.set_label(name)
        panel.set(title=name, xlabel="pass@1", ylabel="pass@16")
        rows = data[data["panel"] == name]
        points = rows[rows["x"] == "pass@1"].merge(rows[rows["x"] == "pass@16"], on="series", suffixes=("_1", "_16"))
        for point in points.to_dict("records"):
            series = str(point["series"])
            best = not ((points["value_1"] > point["value_1"]) & (points["value_16"] > point["value_16"])).any()
            marker = _MARKERS.get(series.rpartition(", ")[2], looks[series].marker)
            panel.errorbar(
                [point["value_1"]],
                [point["value_16"]],
                xerr=_reach(point, "_1"),
                yerr=_reach(point, "_16"),
                fmt=marker,
                color=looks[series].colour,
                markerfacecolor=looks[series].colour if best else "white",
                markersize=7,
                elinewidth=0.8,
                alpha=0.9,
                label=series,
            )
            handles[series] = Line2D(
                [], [], linestyle="", marker=marker, color=looks[series].colour, markerfacecolor="white", markersize=7
            )
        if name == _PAPER:
            _arrows(panel, points.set_index("series"))
    style.add_legend(figure, handles)
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether K = 0.4 gains pass@1 without losing pass@16."""
    return (
        judge.higher("K = .4 ends with a higher pass@1 than the mean", runs, _PLAIN[2], _PLAIN[0], judge.PASS_1),
        judge.alike("K = .4 keeps the pass@16 of the mean", runs, _PLAIN[2], _PLAIN[0], judge.PASS_16),
    )


def _reach(point: Mapping[Hashable, float], of: str) -> list[list[float]] | None:
    """How far the interval reaches below and above the value; None for a published number."""
    low, value, high = (point[f"{name}{of}"] for name in ("low", "value", "high"))
    return None if pd.isna(low) else [[max(0.0, value - low)], [max(0.0, high - value)]]


def _arrows(axes: Axes, points: pd.DataFrame) -> None:
    for name in dict.fromkeys(score.regularizer for score in published.TABLE_2):
        start, end = (str(Arm(k, regularizer=name).name) for k in (None, published.DEFAULT_K))
        axes.annotate(
            "",
            xy=(points["value_1"][end], points["value_16"][end]),
            xytext=(points["value_1"][start], points["value_16"][start]),
            arrowprops={"arrowstyle": "->", "color": style.ZERO_LINE, "shrinkA": 6, "shrinkB": 6},
        )
