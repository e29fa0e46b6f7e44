"""Fig. 1: entropy and pass@k over global steps, under the mean with Clip-Higher and under K = 0.4."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import curves, style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import lines, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.figures.style import Look
from analysis.runs.frames import Runs
from qae import metrics
from qae.metrics import FINAL_STEPS

if TYPE_CHECKING:
    from matplotlib.artist import Artist

_MEAN, _K4 = Arm(), Arm(0.4)
NEEDS = Needs("fig1", (_MEAN, _K4))
CAPTION = (
    f"Left axes: policy entropy before each update, mean over seeds, band: {curves.BAND}. Right axes: unbiased pass@k "
    "on held-out problems, band: 95 % bootstrap interval over problems and seeds."
)
_ENTROPY = "entropy (left axis)"
_QUANTITIES = {_ENTROPY: tidy.ENTROPY, "pass@1 (right axis)": tidy.PASS_1, "pass@16 (right axis)": tidy.PASS_16}
_LOOKS = {
    _ENTROPY: Look(style.ALL, "-", ""),
    "pass@1 (right axis)": Look(style.NEGATIVE, "--", "o"),
    "pass@16 (right axis)": Look(style.POSITIVE, ":", "s"),
}


def table(runs: Runs) -> pd.DataFrame:
    """One panel per arm, one series per quantity."""
    return tidy.join(
        tidy.rows(str(arm), series, of.curve(runs, arm)) for arm in runs.arms for series, of in _QUANTITIES.items()
    )


def paint(data: pd.DataFrame) -> Figure:
    """Panels side by side with one scale each of entropy and pass@k."""
    arms = list(data["panel"].unique())
    figure, [axes] = style.new_figure(1, len(arms), width=max(6.5, 4.6 * len(arms)), height=4.6)
    handles: dict[str, Artist] = {}
    highest = float(data.loc[data["series"] == _ENTROPY, "value"].max())
    for panel, arm in zip(axes, arms, strict=True):
        rows = data[data["panel"] == arm]
        right = panel.twinx()
        lines.paint(panel, rows[rows["series"] == _ENTROPY], _LOOKS)
        lines.paint(right, rows[rows["series"] != _ENTROPY], _LOOKS)
        panel.set(xlabel="Global step", ylabel=tidy.ENTROPY.label, title=arm, ylim=(0, 1.35 * highest))
        right.set(ylabel="pass@k", ylim=(0, 1))
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        for side in (panel, right):
            handles |= dict(zip(*reversed(side.get_legend_handles_labels()), strict=True))
    style.add_legend(figure, handles)
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether entropy grows under the mean, and pass@1 is sustained under K = 0.4."""
    return (
        _grows("the mean's entropy grows over training", runs, _MEAN),
        judge.higher("the mean's entropy peaks above K = .4's", runs, _MEAN, _K4, judge.ENTROPY_PEAK),
        judge.higher("K = .4 ends with a higher pass@1 than the mean", runs, _K4, _MEAN, judge.PASS_1),
        judge.alike("K = .4 keeps the pass@16 of the mean", runs, _K4, _MEAN, judge.PASS_16),
    )


def _grows(claim: str, runs: Runs, arm: Arm) -> Finding:
    """By the last five steps' mean minus the first step, of each run."""
    series = runs.series(arm.name, metrics.ENTROPY.name) if arm.name in runs.arms else pd.DataFrame()
    growth = (series.tail(FINAL_STEPS).mean() - series.iloc[0]).tolist() if len(series) else []
    return judge.positive(claim, growth, "end minus start, nats/token", 2)
