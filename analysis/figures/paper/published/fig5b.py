"""Fig. 5b: entropy by the sign of the advantage over global steps, under the mean and under K = 0.4."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis import comparison
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import signs
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs
from qae import metrics

_MEAN, _K4 = Arm(), Arm(0.4)
NEEDS = Needs("fig5", (_MEAN, _K4))
CAPTION = signs.CAPTION
table = signs.table
_NEGATIVE_PEAK = comparison.of_metric(
    metrics.ENTROPY_NEGATIVE,
    "peak entropy of negative-advantage responses, nats/token",
    2,
    lambda series: series.max(),
)


def paint(data: pd.DataFrame) -> Figure:
    """Classes, and their differences from all."""
    return signs.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether the mean's growth is that of negative responses, and K = 0.4 holds it down."""
    values = signs.negative_minus_positive(runs, _MEAN)
    label = "negative minus positive, mean over steps, nats/token"
    return (
        judge.positive("under the mean negative-advantage responses have the highest entropy", values, label, 3),
        judge.higher("K = .4 keeps the entropy of negative-advantage responses down", runs, _MEAN, _K4, _NEGATIVE_PEAK),
    )
