"""Fig. 4b: weight on right responses against the success rate of the prompt, of GRPO and of QAE with K = 0.4."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import weights
from analysis.figures.paper.selection import Needs
from analysis.runs.frames import Runs
from qae import theory

NEEDS = Needs("fig4", ())
CAPTION = (
    "Weight of the right responses of a prompt: GRPO sqrt(p(1-p)), QAE sqrt(p/(1-p)) up to p = 1 - K and 0 "
    "beyond (eq. 5, Prop. 4.1)."
)


def table(runs: Runs) -> pd.DataFrame:  # noqa: ARG001  # a formula needs none
    """Both weights."""
    return weights.table("Weight on right responses", theory.quantile_positive_weight)


def paint(data: pd.DataFrame) -> Figure:
    """One panel."""
    return weights.paint(data)


def findings(runs: Runs) -> Sequence[Finding]:  # noqa: ARG001
    """A formula claims nothing of runs."""
    return ()
