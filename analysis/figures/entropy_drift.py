"""Change of entropy over a run against what predicts it in the first steps: net advantage over tokens, clip's drift."""

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import panels, style
from analysis.figures.missing import MissingDataError, require
from analysis.runs.frames import Runs
from analysis.table import changes
from qae import metrics

FIRST_STEPS = 5
_PREDICTORS = (metrics.ADVANTAGE_TOKEN_MEAN, metrics.CLIP_DRIFT)
_FEWEST_RUNS = 4


def draw(runs: Runs, source: str) -> Figure:
    """One point per run, one colour per baseline; Spearman's rank correlation stands above each panel."""
    require(runs, metrics.ENTROPY, metrics.ADVANTAGE_TOKEN_MEAN)
    points = _points(runs)
    predictors = [metric for metric in _PREDICTORS if metric.name in points and points[metric.name].notna().any()]
    if len(points) < _FEWEST_RUNS:
        raise MissingDataError(
            f"{len(points)} runs have trained more than {FIRST_STEPS} steps with {_PREDICTORS[0].name}; "
            f"the figure wants {_FEWEST_RUNS}"
        )
    figure, [axes] = style.new_figure(1, len(predictors), width=1.5 + 4.6 * len(predictors), height=4.6)
    looks = style.baseline_looks(runs.arms)
    for panel, metric in zip(axes, predictors, strict=True):
        for baseline, look in looks.items():
            own = points[points["baseline"] == baseline.baseline]
            panel.plot(
                own[metric.name],
                own["change"],
                linestyle="",
                marker=look.marker,
                color=look.colour,
                markersize=4.5,
                alpha=0.75,
                label=baseline.shown,
            )
        panel.axhline(0, **style.REFERENCE)
        panel.axvline(0, **style.REFERENCE)
        rank = points[[metric.name, "change"]].corr("spearman").to_numpy()[0, 1]
        panel.set_title(f"rank correlation {rank:.2f}" if pd.notna(rank) else "")
        panel.set_xlabel(f"{style.labelled(metric)},\nmean of steps 1 to {FIRST_STEPS}")
    axes[0].set_ylabel(f"Change of {style.labelled(metrics.ENTROPY).lower()}")
    panels.add_legend(figure, axes)
    style.add_caption(
        figure,
        "Each point is a run. Change: mean entropy of the last 5 steps less that of the first step. Rank correlation: "
        f"Spearman's, over all runs. {style.sizes(runs, source)}",
    )
    return figure


def _points(runs: Runs) -> pd.DataFrame:
    """One row per run that has more than the first steps: baseline, change, and the predictors that it has logged."""
    rows = []
    for arm in runs.arms:
        entropy, change = runs.series(arm, metrics.ENTROPY.name), changes(runs, arm, metrics.ENTROPY)
        early = {metric.name: runs.series(arm, metric.name).loc[:FIRST_STEPS].mean() for metric in _PREDICTORS}
        for run in entropy.columns[entropy.loc[FIRST_STEPS + 1 :].notna().any()]:
            row = {name: float(values.get(run, float("nan"))) for name, values in early.items()}
            rows.append({"baseline": arm.baseline, "change": change[run], **row})
    return pd.DataFrame(rows, columns=["baseline", "change", *(metric.name for metric in _PREDICTORS)])
