"""Sparsity: share of zero advantages against the success rate, in theory and measured, for four values of K."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import published, statistics
from analysis.figures import style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import lines, points, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs
from qae import metrics, theory

_ARMS = {k: Arm(k) for k in (0.2, 0.4, 0.6, 0.8)}
NEEDS = Needs("sparsity", tuple(_ARMS.values()))
CAPTION = (
    "Left: lines, the share of a prompt's responses with advantage 0 by its success rate p (1 - p up to 1 - K, then "
    "p); points, a training batch each, at its mean success rate after dynamic sampling. A batch mixes prompts of "
    "different p: its point is an average over the line and need not lie on it. Right: mean share over steps and "
    "seeds, 95 % Student-t interval; open diamond: the paper's 80 % at K = 0.4."
)
_RATES = np.linspace(0, 1, 501)
_OVER_P, _OVER_K = "share over p", "mean share over K"
_THEORY, _BATCHES, _MEASURED = "theory", "batches", "measured"


def table(runs: Runs) -> pd.DataFrame:
    """Theory and batches over p, one series per arm each; and the mean share over K."""
    frames = []
    for k, arm in _ARMS.items():
        if arm.name not in runs.arms:
            continue
        share = theory.zero_advantage_share(_RATES, k)
        curve = pd.DataFrame({"value": share, "low": share, "high": share, "seeds": 0}, index=pd.Index(_RATES))
        frames.append(tidy.rows(_OVER_P, f"{arm.name}: {_THEORY}", curve))
        frames.append(tidy.rows(_OVER_P, f"{arm.name}: {_BATCHES}", _batches(runs, arm)))
        shares = judge.values_of(judge.ZERO_SHARE, runs, arm)
        if len(shares):
            frames.append(tidy.row(_OVER_K, _MEASURED, k, statistics.mean_over_seeds(shares.to_numpy())))
    if not frames:
        return tidy.join(())
    return tidy.join([*frames, tidy.published(_OVER_K, points.PUBLISHED, published.DEFAULT_K, published.ZERO_SHARE)])


def paint(data: pd.DataFrame) -> Figure:
    """Over p, and over K."""
    looks = lines.looks(NEEDS)
    figure, [[left, right]] = style.new_figure(1, 2, width=10, height=4.8)
    left.set_label(_OVER_P)
    right.set_label(_OVER_K)
    handles = {}
    # Lines coincide but for a band of p: the later ones are narrower, so that those below show beside them.
    widths = dict(zip(map(str, looks), (5.5, 4.0, 2.6, 1.2), strict=True))
    for series, rows in data[data["panel"] == _OVER_P].groupby("series", sort=False):
        arm, _, kind = str(series).partition(": ")
        look = looks[arm]
        if kind == _THEORY:
            (handles[arm],) = left.plot(
                rows["x"], rows["value"], color=look.colour, label=series, linewidth=widths[arm], alpha=0.8
            )
        else:
            left.plot(rows["x"], rows["value"], look.marker, color=look.colour, label=series, markersize=3, alpha=0.45)
            handles[f"{arm}, batches"] = left.get_lines()[-1]
    over_k = data[data["panel"] == _OVER_K]
    plain = {_MEASURED: style.Look(style.ALL, "-", "o"), "": style.Look(style.NEGATIVE, "-", "D")}
    for series, rows in over_k.groupby("series", sort=False):
        points.errorbars(right, rows["x"].to_numpy(dtype=float), rows, str(series), plain)
    left.set(xlabel="Success rate p", ylabel="Share of zero advantages", xlim=(0, 1), ylim=(0, 1))
    right.set(xlabel="K", ylabel="Mean share of zero advantages", xticks=list(_ARMS), ylim=(0, 1))
    right.set_xlim(0.1, 0.9)
    right.legend(frameon=False, loc="lower left")
    style.add_legend(figure, handles)
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """About 80 % at K = 0.4."""
    claim = "about 80 % of advantages are zero under K = .4"
    return (judge.near(claim, runs, _ARMS[published.DEFAULT_K], judge.ZERO_SHARE, published.ZERO_SHARE, 0.05),)


def _batches(runs: Runs, arm: Arm) -> pd.DataFrame:
    """Success rate and share of zeros of each step of each run; the success rate is the index."""
    zeros, scores = (runs.series(arm.name, metric.name) for metric in (metrics.ZERO_FRACTION, metrics.SCORE_MEAN))
    both = pd.DataFrame({"p": scores.stack(), "value": zeros.stack()}).dropna()
    if (both["p"] < 0).any():  # scores of verl's runs are +1 and -1
        both["p"] = (both["p"] + 1) / 2
    both = both[both["p"].between(0, 1)].sort_values("p")
    return both.set_index("p").assign(low=both["value"].to_numpy(), high=both["value"].to_numpy(), seeds=1)
