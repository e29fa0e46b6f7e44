"""Fig. 5a: pass@1 and pass@16 over global steps under the mean and under K = 0.4."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import lines, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_MEAN, _K4 = Arm(), Arm(0.4)
NEEDS = Needs("fig5", (_MEAN, _K4))
CAPTION = "Unbiased pass@1 and pass@16 on held-out problems, band: 95 % bootstrap interval over problems and seeds."


def table(runs: Runs) -> pd.DataFrame:
    """Two panels, one series per arm."""
    return tidy.over_steps(runs, (tidy.PASS_1, tidy.PASS_16))


def paint(data: pd.DataFrame) -> Figure:
    """Panels side by side."""
    return lines.side_by_side(data, lines.looks(NEEDS))


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether K = 0.4 gains pass@1 and keeps pass@16."""
    return (
        judge.higher("K = .4 ends with a higher pass@1 than the mean", runs, _K4, _MEAN, judge.PASS_1),
        judge.alike("K = .4 keeps the pass@16 of the mean", runs, _K4, _MEAN, judge.PASS_16),
    )
