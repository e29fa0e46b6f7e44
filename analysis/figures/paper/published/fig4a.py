"""Fig. 4a: entropy of responses with positive and negative advantage, and of all, under the mean with Clip-Higher."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import signs
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_MEAN = Arm()
NEEDS = Needs("fig4", (_MEAN,))
CAPTION = signs.CAPTION
table = signs.table


def paint(data: pd.DataFrame) -> Figure:
    """Classes, and their differences from all."""
    return signs.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether negative advantages come with the higher entropy."""
    values = signs.negative_minus_positive(runs, _MEAN)
    label = "negative minus positive, mean over steps, nats/token"
    return (judge.positive("under the mean negative-advantage responses have the highest entropy", values, label, 3),)
