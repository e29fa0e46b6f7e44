"""Final entropy against the upper clip: one panel per length of failures, one line per baseline."""

from dataclasses import asdict

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import curves, panels, style
from analysis.figures.missing import MissingDataError, require
from analysis.runs.frames import ArmName, Runs
from analysis.table import final_means, mean_of
from qae import metrics
from qae.console.text import brief
from qae.files import numbers

_FAILURES = "tabular.failure_tokens"
_UPPER_CLIP = "actor_rollout_ref.actor.clip_ratio_high"


def draw(runs: Runs, source: str) -> Figure:
    """Lines over the clips, bands over seeds, and the entropy at which runs start."""
    require(runs, metrics.ENTROPY)
    cells = _cells(runs)
    failures = sorted({failure for failure, _, _ in cells})
    titles = [f"failures {failure:g} tokens longer" for failure in failures]
    figure, axes = panels.small_multiples(titles, f"Final {style.labelled(metrics.ENTROPY).lower()}")
    looks = style.baseline_looks(cells.values())
    for failure, panel in zip(failures, axes, strict=True):
        start = _start(runs, [arm for (of, _, _), arm in cells.items() if of == failure])
        panel.axhline(start, **style.REFERENCE, label="start of the runs")
        for name, look in looks.items():
            found = {
                clip: mean_of(final_means(runs, arm, metrics.ENTROPY))
                for (of, clip, baseline), arm in sorted(cells.items(), key=lambda cell: cell[0])
                if (of, baseline) == (failure, name.baseline)
            }
            points = {clip: asdict(mean) for clip, mean in found.items() if mean}
            if points:
                look_of_line = {**look.line, "markevery": 1}
                curves.line_with_band(panel, pd.DataFrame.from_dict(points, "index"), name.shown, look_of_line)
        panel.set_xlabel("Upper clip (clip_ratio_high)")
    axes[0].set_ylim(bottom=0)
    panels.add_legend(figure, axes)
    style.add_caption(
        figure,
        "Policy entropy, mean of the last 5 steps: mean over seeds, band: 95 % Student-t interval. Right answers are "
        f"as long in all panels. The lower clip is the same everywhere. {style.sizes(runs, source)}",
    )
    return figure


def _cells(runs: Runs) -> dict[tuple[float, float, str], ArmName]:
    """The arm of each length of failures, upper clip and baseline.

    Raises:
        MissingDataError: runs do not say both, have one upper clip only, or differ in more.
    """
    cells: dict[tuple[float, float, str], ArmName] = {}
    for arm, records in runs.arms.items():
        failure, clip = (numbers.number(records[0].config.get(key)) for key in (_FAILURES, _UPPER_CLIP))
        if failure is None or clip is None:
            continue
        key = (failure, clip, arm.baseline)
        if key in cells:
            raise MissingDataError(
                f"{brief(cells[key])} and {brief(arm)} differ in more than {_FAILURES}, {_UPPER_CLIP} and the "
                "baseline, so they have no place in one figure; name a sweep that varies these three"
            )
        cells[key] = arm
    if len({clip for _, clip, _ in cells}) < 2:
        raise MissingDataError(
            f"no runs of the tabular world differ in {_UPPER_CLIP}; `python sweep.py -m +experiment=explosion` makes "
            "such runs"
        )
    return cells


def _start(runs: Runs, arms: list[ArmName]) -> float:
    first = [runs.series(arm, metrics.ENTROPY.name).head(1).mean(axis=1) for arm in arms]
    return float(sum(value.sum() for value in first) / max(1, sum(len(value) for value in first)))
