"""What Figs. 9, 10 and 11 show of different arms: entropy, pass@1 and response length over global steps."""

import pandas as pd

from analysis.figures import curves
from analysis.figures.paper.parts import tidy
from analysis.runs.frames import Runs

CAPTION = (
    f"Policy entropy before each update and response length in training: mean over seeds, band: {curves.BAND}. "
    "Unbiased pass@1 on held-out problems, band: 95 % bootstrap interval over problems and seeds."
)


def table(runs: Runs) -> pd.DataFrame:
    """Three panels, one series per arm."""
    return tidy.over_steps(runs, (tidy.ENTROPY, tidy.PASS_1, tidy.LENGTH))
