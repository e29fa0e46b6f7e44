"""K-response: final pass@1 and peak entropy against K, with the mean beside it."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis import statistics
from analysis.figures import panels, style
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Finding
from analysis.figures.paper.parts import points, tidy
from analysis.figures.paper.selection import Arm, Needs
from analysis.figures.style import Look
from analysis.runs.frames import Runs

_MEAN = Arm()
_ARMS = {k: Arm(k) for k in (0.2, 0.4, 0.6, 0.8)}
NEEDS = Needs("k_response", (_MEAN, *_ARMS.values()))
CAPTION = (
    "Left: unbiased pass@1 over all held-out problems at the last evaluation, 95 % bootstrap interval over problems "
    "and seeds. Then the highest policy entropy of any step and that of the last five, mean over seeds, 95 % Student-t "
    "interval; where entropy only falls its peak is its start. Dashed line and band: the mean baseline. The paper "
    "gives no numbers over K (its Fig. 9 shows curves)."
)
_ACCURACY = "Final pass@1"
_ENTROPIES = {
    "Peak policy entropy (nats/token)": judge.ENTROPY_PEAK,
    "Final policy entropy (nats/token)": judge.ENTROPY_FINAL,
}
_QUANTILE, _BASELINE = "K-quantile", "mean"
_LOOKS = {_QUANTILE: Look(style.POSITIVE, "-", "o"), _BASELINE: Look(style.ALL, "--", "")}


def table(runs: Runs) -> pd.DataFrame:
    """Three panels; the quantile's points over K, and the mean's, whose x is no number."""
    frames = []
    for arm in (*_ARMS.values(), _MEAN):
        if arm.name in runs.arms:
            series = _BASELINE if arm.k is None else _QUANTILE
            frames.append(tidy.row(_ACCURACY, series, arm.k, tidy.pooled_pass_at(runs, arm.name, 1)))
            for panel, measure in _ENTROPIES.items():
                values = judge.values_of(measure, runs, arm)
                mean = statistics.mean_over_seeds(values.to_numpy()) if len(values) else None
                frames.append(tidy.row(panel, series, arm.k, mean))
    return tidy.join(frames).sort_values("panel", kind="stable")


def paint(data: pd.DataFrame) -> Figure:
    """Three panels over K."""
    names = [name for name in (_ACCURACY, *_ENTROPIES) if name in set(data["panel"])]
    figure, [axes] = style.new_figure(1, len(names), width=11, height=4.4)
    for panel, name in zip(axes, names, strict=True):
        rows = data[data["panel"] == name]
        panel.set_label(name)
        over_k = rows[rows["series"] == _QUANTILE].astype({"x": float})
        points.errorbars(panel, over_k["x"].to_numpy(), over_k, _QUANTILE, _LOOKS)
        panel.plot(over_k["x"], over_k["value"], color=style.POSITIVE, linewidth=1, alpha=0.5)
        for _, mean in rows[rows["series"] == _BASELINE].iterrows():
            panel.axhline(mean["value"], color=style.ALL, linestyle="--", linewidth=1.4, label=_BASELINE)
            panel.axhspan(mean["low"], mean["high"], color=style.ALL, alpha=0.08, linewidth=0)
        panel.set(xlabel="K", ylabel=name, xticks=list(_ARMS), xlim=(0.1, 0.9))
        panel.set_ylim(bottom=0, top=1 if name == _ACCURACY else None)
    panels.add_legend(figure, axes)
    return figure


def findings(runs: Runs) -> Sequence[Finding]:
    """Higher K, higher entropy; and K = 0.4 the best of them."""
    pairs = ((0.4, 0.2), (0.6, 0.4), (0.8, 0.6))
    return (
        *(
            judge.higher(
                f"K = {high:g} ends with higher entropy than {low:g}",
                runs,
                _ARMS[high],
                _ARMS[low],
                judge.ENTROPY_FINAL,
            )
            for high, low in pairs
        ),
        judge.higher("K = .4 ends with a higher pass@1 than the mean", runs, _ARMS[0.4], _MEAN, judge.PASS_1),
    )
