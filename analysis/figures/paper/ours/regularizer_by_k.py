"""Regularizer by K: final pass@1 and peak entropy as heat maps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import statistics
from analysis.figures import style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.runs.frames import Runs

_REGULARIZERS = ("clip_higher", "clip_symmetric", "clip_cov", "kl_cov", "gspo")
_HIGHEST = 0.8
_ARMS = {(name, k): Arm(k, regularizer=name) for name in _REGULARIZERS for k in (None, 0.4, _HIGHEST)}
NEEDS = Needs("regularizer_by_k", tuple(_ARMS.values()))
CAPTION = (
    "Left: unbiased pass@1 over all held-out problems at the last evaluation, with its 95 % interval. Right: highest "
    "policy entropy of any step, mean over seeds, with its 95 % Student-t interval, or the range of two seeds; one "
    "seed has neither. A white cell has no run. The paper has no such table."
)
_PANELS = {"pass@1": (0.0, 1.0), "Peak policy entropy (nats/token)": (None, None)}
_PASS, _PEAK = _PANELS


def table(runs: Runs) -> pd.DataFrame:
    """Two panels, the regularizer as series, the baseline as x."""
    frames = []
    for (name, _), arm in _ARMS.items():
        if arm.name not in runs.arms:
            continue
        peaks = judge.values_of(judge.ENTROPY_PEAK, runs, arm)
        frames.append(tidy.row(_PASS, name, arm.name.baseline, tidy.pooled_pass_at(runs, arm.name, 1)))
        if len(peaks) == 2:
            ends = (float(peaks.to_numpy().mean()), float(peaks.to_numpy().min()), float(peaks.to_numpy().max()))
            frames.append(tidy.row(_PEAK, name, arm.name.baseline, statistics.Mean(*ends, seeds=2)))
        elif len(peaks):
            frames.append(tidy.row(_PEAK, name, arm.name.baseline, statistics.mean_over_seeds(peaks.to_numpy())))
    return tidy.join(frames)


def paint(data: pd.DataFrame) -> Figure:
    """Two heat maps with their numbers; dark to light, so that they read in grey."""
    figure, [axes] = style.new_figure(1, 2, width=10.5, height=5.2)
    columns = list(dict.fromkeys(arm.name.baseline for arm in _ARMS.values()))
    for panel, (name, (low, high)) in zip(axes, _PANELS.items(), strict=True):
        cells = data[data["panel"] == name].set_index(["series", "x"])
        values = cells["value"].unstack().reindex(index=list(_REGULARIZERS), columns=columns).to_numpy(dtype=float)
        panel.set_label(name)
        image = panel.imshow(np.ma.masked_invalid(values), cmap="cividis", vmin=low, vmax=high, aspect="auto")
        figure.colorbar(image, ax=panel, shrink=0.85)
        for cell in cells.reset_index().to_dict("records"):
            row, column = _REGULARIZERS.index(cell["series"]), columns.index(cell["x"])
            share = float(np.ravel(image.norm(cell["value"]))[0])
            interval = f"[{cell['low']:.2f}, {cell['high']:.2f}]" if cell["low"] < cell["high"] else "one seed"
            panel.text(
                column,
                row,
                f"{cell['value']:.2f}\n{interval}",
                ha="center",
                va="center",
                fontsize=8,
                color="black" if share > 0.55 else "white",
            )
        panel.set_xticks(range(len(columns)), columns)
        panel.set_yticks(range(len(_REGULARIZERS)), _REGULARIZERS)
        panel.grid(visible=False)
        panel.set(title=name, xlabel="Baseline")
    axes[0].set_ylabel("Regularizer")
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """K = 0.8 raises entropy whatever the regularizer."""
    return tuple(
        judge.higher(
            f"higher K, higher peak of entropy with {name} (.8 against .4)",
            runs,
            _ARMS[name, 0.8],
            _ARMS[name, 0.4],
            judge.ENTROPY_PEAK,
        )
        for name in _REGULARIZERS
    )
