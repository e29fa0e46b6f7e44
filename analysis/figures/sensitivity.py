"""Change of entropy in each variant of the tabular world, under each baseline: which properties the explosion needs."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import panels, style
from analysis.figures.missing import MissingDataError, require
from analysis.figures.paper.parts import points
from analysis.figures.style import Look
from analysis.runs.frames import ArmName, Runs
from analysis.table import changes, mean_of
from qae import metrics
from qae.console.text import brief

_MODEL = "tabular"
_REGULARIZER = "labels.regularizer"
_NO_VARIANT = ("labels.", "algorithm.")
_FEWEST_VARIANTS = 4
_ROW_INCHES = 0.27
_SPREAD = 0.22


def draw(runs: Runs, source: str) -> Figure:
    """One row per variant, one point with its interval per baseline; the world as it is stands on top."""
    require(runs, metrics.ENTROPY)
    changed = _what_is_changed(
        runs, [arm for arm, records in runs.arms.items() if records[0].labels.get("model") == _MODEL]
    )
    variants = sorted(dict.fromkeys(changed.values()), key=bool)
    if len(variants) < _FEWEST_VARIANTS:
        raise MissingDataError(
            f"fewer than {_FEWEST_VARIANTS} variants of the tabular world are here; "
            "`python sweep.py -m +experiment=sensitivity` makes such runs"
        )
    figure, [[axes]] = style.new_figure(1, 1, width=8, height=1.9 + _ROW_INCHES * len(variants))
    looks = style.baseline_looks(changed)
    offsets = (np.arange(len(looks)) - (len(looks) - 1) / 2) * _SPREAD
    for offset, (baseline, look) in zip(offsets, looks.items(), strict=True):
        means = {
            variants.index(variant) + offset: mean
            for arm, variant in changed.items()
            if arm.baseline == baseline.baseline and (mean := mean_of(changes(runs, arm, metrics.ENTROPY)))
        }
        if means:
            _points(axes, pd.DataFrame(list(means.values()), index=pd.Index(means)), baseline.shown, look)
    axes.axvline(0, **style.REFERENCE)
    axes.set_yticks(range(len(variants)), [brief(variant or "as it is") for variant in variants])
    axes.set_ylim(len(variants) - 0.5, -0.5)
    axes.set_xlabel(f"Change of {style.labelled(metrics.ENTROPY).lower()} from start to end")
    panels.add_legend(figure, [axes])
    style.add_caption(
        figure,
        "Mean of the last 5 steps less that of the first: mean over seeds, bars: 95 % Student-t interval. Each row "
        f"changes what it names and nothing else. {style.sizes(runs, source)}",
    )
    return figure


def _what_is_changed(runs: Runs, arms: Sequence[ArmName]) -> dict[ArmName, str]:
    """What sets each arm apart from the most usual values: "vocabulary=16", the name of its regularizer, or ""."""
    configs = {arm: runs.arms[arm][0].config for arm in arms}
    if not configs:
        return {}
    keys = {key for config in configs.values() for key in config if not key.startswith(_NO_VARIANT)}
    keys = {key for key in keys if not runs.rule.is_left_out(key)} | {_REGULARIZER}
    usual = {key: Counter(str(config.get(key)) for config in configs.values()).most_common(1)[0][0] for key in keys}
    changed = {}
    for arm, config in configs.items():
        apart = sorted(key for key in keys if str(config.get(key)) != usual[key])
        named = [str(config[_REGULARIZER])] if _REGULARIZER in apart else [_setting(key, config) for key in apart]
        changed[arm] = ", ".join(named)
    return changed


def _setting(key: str, config: Mapping[str, object]) -> str:
    return f"{key.rpartition('.')[-1]}={config.get(key)}"


def _points(axes: Axes, means: pd.DataFrame, name: str, look: Look) -> None:
    axes.errorbar(
        means["value"],
        means.index,
        xerr=points.reach(means),
        fmt=look.marker,
        color=look.colour,
        markersize=5,
        capsize=2.5,
        elinewidth=1.3,
        label=name,
    )
