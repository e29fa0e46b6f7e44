"""Fig. 6b: final pass@1 of the two masks and of K = 0.4, with Clip-Higher."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import masks
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_POS, _NEG = (Arm(0.4, rule=rule, regularizer="clip_higher") for rule in ("pos_mask", "neg_mask"))
_QAE = Arm(0.4, regularizer="clip_higher")
NEEDS = Needs("fig6b", (_POS, _NEG, _QAE))
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
    return (
        judge.higher("NEG-MASK is above POS-MASK", runs, _NEG, _POS, judge.PASS_1),
        judge.alike("NEG-MASK and K = .4 are alike", runs, _NEG, _QAE, judge.PASS_1),
        judge.higher("K = .4 is above POS-MASK", runs, _QAE, _POS, judge.PASS_1),
    )
