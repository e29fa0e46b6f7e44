"""What Figs. 4b and 4c show: the weights that GRPO and QAE give to a prompt, by its success rate. Formulas only."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import published
from analysis.figures import style
from analysis.figures.paper.parts import lines, tidy
from analysis.figures.style import Look
from qae import theory

_RATES = np.linspace(0, 1, 501)
_QAE, _GRPO = f"QAE, K = {published.DEFAULT_K:g}", "GRPO and DAPO (mean)"
_LOOKS = {_GRPO: Look(style.ALL, "-", ""), _QAE: Look(style.NEGATIVE, "--", "")}


def table(label: str, weight: Callable[[theory.FloatArray, float], theory.FloatArray]) -> pd.DataFrame:
    """Both weights over success rates from 0 to 1."""
    curves = {_GRPO: theory.grpo_weight(_RATES), _QAE: weight(_RATES, published.DEFAULT_K)}
    return tidy.join(
        tidy.rows(label, name, pd.DataFrame({"value": of, "low": of, "high": of, "seeds": 0}, index=pd.Index(_RATES)))
        for name, of in curves.items()
    )


def paint(data: pd.DataFrame) -> Figure:
    """One panel."""
    figure, [[axes]] = style.new_figure(1, 1, width=6.5, height=4.4)
    lines.paint(axes, data, _LOOKS)
    axes.set(xlabel="Success rate p of the prompt", ylabel=axes.get_label(), xlim=(0, 1), ylim=(0, None))
    axes.axvline(1 - published.DEFAULT_K, color=style.ZERO_LINE, linewidth=1, linestyle=":")
    axes.annotate(
        "p = 1 - K",
        (1 - published.DEFAULT_K, 0.04),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        color=style.ZERO_LINE,
        va="bottom",
    )
    style.add_legend(figure, dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)))
    return figure
