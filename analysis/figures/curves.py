"""Curves with bands: a metric over steps with its spread over seeds, and pass@k with its interval."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis import statistics
from analysis.runs.frames import ArmName, Runs
from qae import metrics

# What `over_seeds` draws, for captions.
BAND = "95 % Student-t interval over seeds, with two seeds their range"
_BAND_OPACITY = 0.10
_MARKERS_ON_A_CURVE = 7


def over_seeds(axes: Axes, series: pd.DataFrame, label: str, look: Mapping[str, Any], *, band: bool = True) -> None:
    """Draw the mean over seeds and, with several, a band (`BAND`).

    A t-interval of two seeds is 9 times as wide as their range and would only hide the others.

    Args:
        axes: where.
        series: one row per step, one column per run.
        label: of the line.
        look: keywords of the line.
        band: whether to draw the band.
    """
    summary = summary_over_seeds(series)
    if not summary.empty:
        line_with_band(axes, summary, label, look, band=band and series.shape[1] > 1)


def summary_over_seeds(series: pd.DataFrame) -> pd.DataFrame:
    """Mean and `BAND` of every step: columns value, low, high, seeds.

    Args:
        series: one row per step, one column per run; steps that no run has are left out.
    """
    series = series.dropna(how="all")
    summary = statistics.means_over_seeds(series)
    two = (summary["seeds"] == 2) & np.isfinite(summary["value"])
    if two.any():
        summary["low"] = summary["low"].mask(two, series.min(axis=1))
        summary["high"] = summary["high"].mask(two, series.max(axis=1))
    return summary


def metric_curve(runs: Runs, arm: ArmName, metric: metrics.Metric) -> pd.DataFrame:
    """`summary_over_seeds` of an arm's metric."""
    return runs.remembered(("curve", metric.name), arm, lambda: summary_over_seeds(runs.series(arm, metric.name)))


def pass_at_k_curve(runs: Runs, arm: ArmName, k: int) -> pd.DataFrame:
    """`statistics.pass_at_k_curve` of an arm."""
    return runs.remembered(("pass@k curve", k), arm, lambda: statistics.pass_at_k_curve(runs.counts(arm), k))


def pass_at_k(axes: Axes, runs: Runs, arm: ArmName, k: int, label: str, look: Mapping[str, Any]) -> None:
    """Draw pass@k over the evaluated steps with its 95 % bootstrap interval; nothing where it is not defined."""
    curve = pass_at_k_curve(runs, arm, k)
    if not curve.empty:
        line_with_band(axes, curve, label, {**look, "markevery": 1})


def line_with_band(
    axes: Axes, summary: pd.DataFrame, label: str, look: Mapping[str, Any], *, band: bool = True
) -> None:
    """Draw a line and the band around it.

    Args:
        axes: where.
        summary: index step; columns value, low, high.
        label: of the line.
        look: keywords of the line.
        band: whether to draw the band.
    """
    spacing = {"markevery": max(1, len(summary) // _MARKERS_ON_A_CURVE)} if "marker" in look else {}
    # Legends leave out what begins with an underscore.
    label = f" {label}" if label.startswith("_") else label
    # The line breaks where the mean is infinite; drawn, it would take the scale with it.
    values = summary["value"].where(np.isfinite(summary["value"].to_numpy(dtype=float)))
    axes.plot(summary.index, values, label=label, **{**spacing, **look})
    if band:
        axes.fill_between(
            summary.index, summary["low"], summary["high"], color=look["color"], alpha=_BAND_OPACITY, linewidth=0
        )


def fit_to_lines(axes: Axes, *, bottom: float | None = None) -> None:
    """Limit the y axis by the lines and a margin, so that a wide band is cut and does not flatten them."""
    values = np.concatenate([np.empty(0), *(np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines())])
    values = values[np.isfinite(values)]
    if values.size:
        low, high = float(values.min()), float(values.max())
        margin = 0.35 * (high - low) or 0.1
        axes.set_ylim(low - margin if bottom is None else bottom, high + margin)
