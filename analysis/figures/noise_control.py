"""Entropy under noise in the rewards, which takes learning out: one panel per clip, one line per baseline."""

from matplotlib.figure import Figure

from analysis.figures import curves, panels, style
from analysis.figures.missing import MissingDataError, require
from analysis.runs.frames import Runs
from qae import metrics
from qae.console.text import brief

_NOISE = ("data.reward_noise.random", "data.reward_noise.flip")


def draw(runs: Runs, source: str) -> Figure:
    """A panel for each variant (the clip), a line for each baseline."""
    noisy = {arm: records for arm, records in runs.arms.items() if any(records[0].config.get(key) for key in _NOISE)}
    if not noisy:
        raise MissingDataError(
            "no run has noise in its rewards; `python sweep.py -m +experiment=reward_noise` makes such runs"
        )
    require(runs, metrics.ENTROPY)
    titles = {arm.variant: brief(arm.variant or records[0].regularizer) for arm, records in noisy.items()}
    figure, axes = panels.small_multiples(
        list(titles.values()), style.labelled(metrics.ENTROPY), columns=min(3, len(titles))
    )
    by_variant = dict(zip(titles, axes, strict=True))
    looks = style.looks(list(dict.fromkeys(noisy)))
    markers = dict(zip(dict.fromkeys(arm.baseline for arm in noisy), "osD^vPX*", strict=False))
    for arm in noisy:
        look = {"color": looks[arm].colour, "marker": markers.get(arm.baseline, ".")}
        curves.over_seeds(by_variant[arm.variant], runs.series(arm, metrics.ENTROPY.name), brief(arm.baseline), look)
    axes[0].set_ylim(bottom=0)
    panels.add_legend(figure, axes)
    noise = {key.rsplit(".", 1)[-1]: {records[0].config.get(key) for records in noisy.values()} for key in _NOISE}
    shown = ", ".join(f"{key} = {', '.join(map(brief, values))}" for key, values in noise.items() if any(values))
    style.add_caption(
        figure,
        f"Policy entropy before each update with noise in the rewards (data.reward_noise: {shown}): mean over seeds, "
        f"band: {curves.BAND}. {style.sizes(runs, source)}",
    )
    return figure
