"""Fig. 7: marker words and pass@1 over global steps under K = 0.4."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import markers
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs
from qae import metrics

_K4 = Arm(0.4)
NEEDS = Needs("fig7", (_K4,))
CAPTION = markers.CAPTION
table = markers.table


def paint(data: pd.DataFrame) -> Figure:
    """One panel."""
    return markers.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether words rise at first, and pass@1 goes on rising later."""
    rise = markers.change(runs, _K4.name, 0.0, 0.25)
    pass_1 = runs.series(_K4.name, metrics.pass_at(1).name) if _K4.name in runs.arms else pd.DataFrame()
    later = (pass_1.iloc[-1] - pass_1.iloc[len(pass_1) // 2]).tolist() if len(pass_1) > 1 else []
    return (
        judge.positive(
            "under K = .4 marker words rise at first", rise, "change per 100 responses in the first quarter", 1
        ),
        judge.positive("under K = .4 pass@1 keeps rising in the second half", later, "pass@1", 3),
    )
