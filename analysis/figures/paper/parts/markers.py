"""What Figs. 2 and 7 show: marker words, the paper's "anthropomorphic tokens", beside pass@1 over global steps."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import curves, style
from analysis.figures.paper.parts import lines, tidy
from analysis.figures.style import Look
from analysis.runs.frames import ArmName, Runs
from analysis.sources.token_lines import marker_words

if TYPE_CHECKING:
    from matplotlib.artist import Artist

CAPTION = (
    "Bars, left axes: marker words (wait, perhaps, maybe, alternatively, however, hmm, actually) in 100 training "
    "responses, mean over seeds. Line, right axes: unbiased pass@1 on held-out problems, band: 95 % bootstrap interval "
    "over problems and seeds. The paper counts such tokens in its evaluation and gives neither list nor denominator."
)
MARKERS, PASS_1 = "marker words (left axis)", "pass@1 (right axis)"
_PASS_LOOK = {PASS_1: Look(style.NEGATIVE, "-", "o")}
_BAR = "#009E73"


def table(runs: Runs) -> pd.DataFrame:
    """One panel per arm; bars and line are its series."""
    frames = []
    for arm in runs.arms:
        frames.append(tidy.rows(str(arm), MARKERS, curves.summary_over_seeds(_counts(runs, arm))))
        frames.append(tidy.rows(str(arm), PASS_1, tidy.PASS_1.curve(runs, arm)))
    data = tidy.join(frames)
    return data if MARKERS in set(data["series"]) else tidy.join(())


def paint(data: pd.DataFrame) -> Figure:
    """Panels with one scale each of words and pass@1."""
    arms = list(data["panel"].unique())
    figure, [axes] = style.new_figure(1, len(arms), width=max(6.5, 4.6 * len(arms)), height=4.6)
    handles: dict[str, Artist] = {}
    highest = float(data.loc[data["series"] == MARKERS, "value"].max())
    for panel, arm in zip(axes, arms, strict=True):
        rows = data[data["panel"] == arm]
        bars = rows[rows["series"] == MARKERS]
        panel.bar(bars["x"].astype(int), bars["value"], width=0.9, color=_BAR, alpha=0.55, label=MARKERS)
        panel.set_label(arm)
        right = panel.twinx()
        lines.paint(right, rows[rows["series"] == PASS_1], _PASS_LOOK)
        panel.set(xlabel="Global step", ylabel="Marker words per 100 responses", title=arm, ylim=(0, 1.15 * highest))
        right.set(ylabel="pass@1", ylim=(0, 1))
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        for side in (panel, right):
            handles |= dict(zip(*reversed(side.get_legend_handles_labels()), strict=True))
    style.add_legend(figure, handles)
    return figure


def change(runs: Runs, arm: ArmName, start: float, end: float) -> list[float]:
    """Of each run of the arm, how its marker words change between two shares of its steps (means of 5 steps)."""
    counts = _counts(runs, arm) if arm in runs.arms else pd.DataFrame()
    if counts.empty:
        return []
    last = int(counts.index.max())
    early, late = (
        counts[np.abs(counts.index.to_numpy() - max(1, round(share * last))) <= 2].mean() for share in (start, end)
    )
    return [float(value) for value in late - early]


def _counts(runs: Runs, arm: ArmName) -> pd.DataFrame:
    series = [marker_words(record) for record in runs.arms[arm]]
    return pd.concat([found for found in series if len(found)] or [pd.Series(dtype=float)], axis=1).sort_index()
