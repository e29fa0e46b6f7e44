"""Entropy, pass@1 and pass@16 over global steps (the paper's Figs. 1, 5a, 9 and 10 for the runs at hand)."""

from matplotlib.figure import Figure

from analysis.figures import curves, panels, style
from analysis.figures.missing import require
from analysis.runs.frames import Runs
from qae import metrics

_REPORTED_K = (1, 16)


def draw(runs: Runs, source: str) -> Figure:
    """One line an arm, with bands."""
    require(runs, metrics.ENTROPY)
    figure, [axes] = style.new_figure(1, 3, width=11, height=4.8)
    for arm, look in style.looks(list(runs.arms)).items():
        curves.over_seeds(axes[0], runs.series(arm, metrics.ENTROPY.name), arm.shown, look.line)
        for panel, k in zip(axes[1:], _REPORTED_K, strict=True):
            curves.pass_at_k(panel, runs, arm, k, arm.shown, look.line)
    style.label_axes(axes[0], metrics.ENTROPY)
    curves.fit_to_lines(axes[0], bottom=0)
    for panel, k in zip(axes[1:], _REPORTED_K, strict=True):
        style.label_axes(panel, metrics.pass_at(k))
        panel.set_ylim(0, 1)
    panels.add_legend(figure, axes)
    style.add_caption(
        figure,
        f"Policy entropy before each update: mean over seeds, band: {curves.BAND}. Unbiased pass@k on held-out "
        f"problems, band: 95 % bootstrap interval over problems and seeds. {style.sizes(runs, source)}",
    )
    return figure
