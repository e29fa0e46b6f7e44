"""Table 1: final pass@1 under the mean for five upper clips, beside the published numbers."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis import published
from analysis.figures import style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import points, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.figures.style import Look
from analysis.runs.frames import Runs

_ARMS = {
    0.20: Arm(regularizer="clip_symmetric"),
    **{clip: Arm(clip_high=clip) for clip in (0.22, 0.24, 0.26)},
    published.CLIP_HIGHER: Arm(),
}
NEEDS = Needs("table1", tuple(_ARMS.values()))
CAPTION = (
    "Unbiased pass@1 over all held-out problems at the last evaluation, with 95 % intervals, by the upper clip. Open "
    "diamonds: the paper's Qwen3-8B-Base on AIME24 (no intervals are published)."
)
_PANEL, _HERE, _PAPER = "pass@1", "here", f"{points.PUBLISHED}: AIME24"
_LOOKS = {_HERE: Look(style.ALL, "-", "o"), "AIME24": Look(style.NEGATIVE, "-", "D")}


def table(runs: Runs) -> pd.DataFrame:
    """One panel; ours and the paper's as series, the clip as x."""
    present = {clip: arm.name for clip, arm in _ARMS.items() if arm.name in runs.arms}
    ours = [tidy.row(_PANEL, _HERE, f"{clip:.2f}", tidy.pooled_pass_at(runs, arm, 1)) for clip, arm in present.items()]
    if not any(len(row) for row in ours):
        return tidy.join(())
    theirs = [tidy.published(_PANEL, _PAPER, f"{clip:.2f}", value) for clip, value in published.TABLE_1.items()]
    order = {f"{clip:.2f}": clip for clip in _ARMS}
    return tidy.join([*ours, *theirs]).sort_values(["series", "x"], key=lambda column: column.replace(order))


def paint(data: pd.DataFrame) -> Figure:
    """One panel."""
    figure = points.grid(
        data.sort_values("x"), _LOOKS, columns=1, size=(6.5, 3.6), x_label="Upper clip (clip_ratio_high)"
    )
    axes = figure.axes[0]
    axes.set(title="", ylabel="pass@1", ylim=(0, 1.02))
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether Clip-Higher gains."""
    return (
        judge.higher("clip .28 is above .20", runs, _ARMS[0.28], _ARMS[0.20], judge.PASS_1),
        judge.higher("clip .26 is above .22", runs, _ARMS[0.26], _ARMS[0.22], judge.PASS_1),
    )
