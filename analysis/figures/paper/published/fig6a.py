"""Fig. 6a: final pass@1 of the larger model under the mean and under K = 0.4, beside the published numbers."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis import published
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import masks, points, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_ARMS = {False: Arm(), True: Arm(published.DEFAULT_K)}
NEEDS = Needs("fig6a", tuple(_ARMS.values()), larger_model=True)
CAPTION = (
    f"The larger model (here model=tabular-larger). {masks.CAPTION} Open diamonds: the paper's Qwen3-14B-Base, labels "
    "of its Fig. 6a (no intervals are published)."
)


def table(runs: Runs) -> pd.DataFrame:
    """Our data sets, then the paper's."""
    ours = masks.table(runs)
    if ours.empty:
        return ours
    theirs = [
        tidy.published(f"{score.data_set} (paper)", points.PUBLISHED, _ARMS[score.quantile].name.baseline, score.pass_1)
        for score in published.FIGURE_6A
    ]
    return tidy.join([ours, *theirs])


def paint(data: pd.DataFrame) -> Figure:
    """Panels side by side."""
    return masks.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether QAE is the higher."""
    return (
        judge.higher(
            "the larger model ends with the higher pass@1 under K = .4", runs, _ARMS[True], _ARMS[False], judge.PASS_1
        ),
    )
