"""Fig. 11: the same of the larger model: entropy, pass@1 and response length under the mean and under K = 0.4."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import dynamics, lines
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_MEAN, _K4 = Arm(), Arm(0.4)
NEEDS = Needs("fig11", (_MEAN, _K4), larger_model=True)
CAPTION = f"The larger model (the paper: 14B; here model=tabular-larger). {dynamics.CAPTION}"
table = dynamics.table


def paint(data: pd.DataFrame) -> Figure:
    """Three panels."""
    return lines.side_by_side(data, lines.looks(NEEDS))


def findings(runs: Runs) -> Sequence[Finding]:
    """Entropy and pass@1 of the mean against K = 0.4."""
    return (
        judge.higher("the larger model's entropy is higher under the mean", runs, _MEAN, _K4, judge.ENTROPY_PEAK),
        judge.higher("the larger model ends with the higher pass@1 under K = .4", runs, _K4, _MEAN, judge.PASS_1),
    )
