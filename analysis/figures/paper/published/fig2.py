"""Fig. 2: marker words and pass@1 over global steps under the mean, without and with Clip-Higher."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import markers
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_WITHOUT, _WITH = Arm(regularizer="clip_symmetric"), Arm()
NEEDS = Needs("fig2", (_WITHOUT, _WITH))
CAPTION = markers.CAPTION
table = markers.table


def paint(data: pd.DataFrame) -> Figure:
    """Two panels."""
    return markers.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether Clip-Higher makes marker words surge early, and they return."""
    rise = markers.change(runs, _WITH.name, 0.0, 0.25)
    fall = [-value for value in markers.change(runs, _WITH.name, 0.25, 1.0)]
    return (
        judge.higher("marker words peak higher with Clip-Higher", runs, _WITH, _WITHOUT, judge.MARKERS_PEAK),
        judge.positive("with Clip-Higher marker words rise in the first quarter", rise, "change per 100 responses", 1),
        judge.positive("with Clip-Higher marker words fall after the first quarter", fall, "fall per 100 responses", 1),
        judge.higher("Clip-Higher gains pass@1", runs, _WITH, _WITHOUT, judge.PASS_1),
    )
