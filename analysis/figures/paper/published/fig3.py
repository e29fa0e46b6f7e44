"""Fig. 3: the most frequent high-entropy tokens early, later and late in training, under the mean with Clip-Higher."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import tokens
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_ARM = Arm()
NEEDS = Needs("fig3", (_ARM,))
CAPTION = tokens.CAPTION
table = tokens.table


def paint(data: pd.DataFrame) -> Figure:
    """Three panels."""
    return tokens.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:
    """Whether anthropomorphic tokens gain weight among the uncertain positions."""
    claim = "under the mean anthropomorphic tokens gain share from step 20 to 200"
    return (judge.positive(claim, tokens.class_change(runs, _ARM.name), "change of their share", 4),)
