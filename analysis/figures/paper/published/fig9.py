"""Fig. 9: entropy, pass@1 and response length over global steps for four values of K."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import dynamics, lines
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_K2, _K4, _K6, _K8 = (Arm(k) for k in (0.2, 0.4, 0.6, 0.8))
NEEDS = Needs("fig9", (_K2, _K4, _K6, _K8))
CAPTION = dynamics.CAPTION
table = dynamics.table


def paint(data: pd.DataFrame) -> Figure:
    """Three panels."""
    return lines.side_by_side(data, lines.looks(NEEDS))


def findings(runs: Runs) -> Sequence[Finding]:
    """Entropy and length at the ends of K, and pass@1 at its best."""
    return (
        judge.higher("K = .8 drives entropy above K = .2", runs, _K8, _K2, judge.ENTROPY_PEAK),
        judge.higher("K = .8 has longer responses than K = .4", runs, _K8, _K4, judge.LENGTH_FINAL),
        judge.higher("K = .4 ends with a higher pass@1 than K = .8", runs, _K4, _K8, judge.PASS_1),
        judge.higher("K = .4 ends with a higher pass@1 than K = .2", runs, _K4, _K2, judge.PASS_1),
    )
