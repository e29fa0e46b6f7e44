"""Fig. 6c: final pass@1 of the two masks and of K = 0.4, without Clip-Higher."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import masks
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_POS, _NEG = (Arm(0.4, rule=rule, regularizer="clip_symmetric") for rule in ("pos_mask", "neg_mask"))
_QAE = Arm(0.4, regularizer="clip_symmetric")
NEEDS = Needs("fig6c", (_POS, _NEG, _QAE))
CAPTION = (
    f"{masks.CAPTION} POS-MASK: right responses of easy prompts masked; NEG-MASK: wrong ones of hard prompts; K = 0.4 "
    "does both. The paper publishes no numbers for this figure, only the order."
)
table = masks.table


def paint(data: pd.DataFrame) -> Figure:
    """Panels side by side."""
    return masks.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:
    """The paper's order of the masks."""
    return (judge.higher("POS-MASK is above NEG-MASK", runs, _POS, _NEG, judge.PASS_1),)
