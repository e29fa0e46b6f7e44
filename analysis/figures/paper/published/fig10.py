"""Fig. 10: entropy, pass@1 and response length over global steps under the mean and under K = 0.4."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import dynamics, lines
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_MEAN, _K4 = Arm(), Arm(0.4)
NEEDS = Needs("fig10", (_MEAN, _K4))
CAPTION = dynamics.CAPTION
table = dynamics.table


def paint(data: pd.DataFrame) -> Figure:
    """Three panels."""
    return lines.side_by_side(data, lines.looks(NEEDS))


def findings(runs: Runs) -> Sequence[Finding]:
    """Entropy, length and pass@1 of the mean against K = 0.4."""
    return (
        judge.higher("the mean's entropy peaks above K = .4's", runs, _MEAN, _K4, judge.ENTROPY_PEAK),
        judge.higher("the mean ends with longer responses than K = .4", runs, _MEAN, _K4, judge.LENGTH_FINAL),
        judge.higher("K = .4 ends with a higher pass@1 than the mean", runs, _K4, _MEAN, judge.PASS_1),
    )
