"""Shares of positive, zero and negative advantages over global steps, one panel per arm (the paper's Fig. 5c)."""

from matplotlib.figure import Figure

from analysis.figures import panels, style
from analysis.figures.missing import require
from analysis.runs.frames import Runs
from qae import metrics

# The hatch tells negative from positive in grey.
_CLASSES = (
    (metrics.POSITIVE_FRACTION, "positive", style.POSITIVE, None),
    (metrics.ZERO_FRACTION, "zero", style.ZERO, None),
    (metrics.NEGATIVE_FRACTION, "negative", style.NEGATIVE, "////"),
)


def draw(runs: Runs, source: str) -> Figure:
    """Stacked shares, mean over seeds."""
    require(runs, *(metric for metric, *_ in _CLASSES))
    shares = {arm: [runs.series(arm, metric.name).mean(axis=1) for metric, *_ in _CLASSES] for arm in runs.arms}
    shares = {arm: found for arm, found in shares.items() if not found[0].empty}
    titles = [f"{arm.shown}\n(zero: {zero.mean():.0%})" for arm, (_, zero, _) in shares.items()]
    figure, axes = panels.small_multiples(titles, "Share of responses")
    for panel, found in zip(axes, shares.values(), strict=True):
        areas = panel.stackplot(
            found[0].index,
            *found,
            labels=[label for _, label, *_ in _CLASSES],
            colors=[colour for *_, colour, _ in _CLASSES],
        )
        for area, (*_, hatch) in zip(areas, _CLASSES, strict=True):
            area.set(hatch=hatch, edgecolor="white", linewidth=0.5)
        panel.set_ylim(0, 1)
        panel.margins(x=0)
    panels.add_legend(figure, axes)
    style.add_caption(
        figure,
        "Responses of the batch after dynamic sampling by the sign of their advantage (|A| < 1e-6 counts as zero), "
        f"mean over seeds; in brackets the mean zero share over steps. {style.sizes(runs, source)}",
    )
    return figure
