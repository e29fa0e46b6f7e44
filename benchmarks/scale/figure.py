"""The figure of docs/scale.md: time, waste and calls by checkpoint interval and by throttle."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import NullLocator

from analysis.figures import panels, style
from benchmarks.scale.experiments import Point, model
from benchmarks.scale.model.outcome import Outcome

_COLOURS = (style.POSITIVE, style.NEGATIVE, "#009E73", "#CC79A7", style.ALL)
_DASHES: tuple[style.Dash, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), "-")
_MARKERS = "osD^v"
_HOURS = (0.5, 1, 2, 4, 8, 16, 32, 64)
_PERCENT = (1, 2, 5, 10, 20, 50, 100)
_Value = Callable[[Outcome], float]


def draw(intervals: Mapping[str, Sequence[Point]], throttles: Sequence[Point], path: Path) -> None:
    """Write the figure as a PNG."""
    with style.house():
        figure, rows = style.new_figure(2, 3, width=11, height=7)
        values: tuple[tuple[str, _Value], ...] = (
            ("Completion (days)", lambda outcome: outcome.hours / 24),
            ("Wasted GPU hours (% of useful)", lambda outcome: 100 * outcome.waste),
            ("Calls of slurmctld (thousands)", lambda outcome: outcome.controller_calls / 1_000),
        )
        work, pace = model("qwen3-8b-base")
        for axes, (label, value) in zip(rows[0], values, strict=True):
            _by_interval(axes, intervals, value, work.step_seconds / 3_600)
            axes.axvline(pace.save_freq * work.step_seconds / 3_600, **style.REFERENCE)
            axes.set_xlabel("Checkpoint interval (hours)")
            axes.set_ylabel(label)
        for axes, (label, value) in zip(rows[1], values, strict=True):
            _by_throttle(axes, throttles, value)
            axes.set_ylabel(label)
        rows[0][1].set_yscale("log")
        _label(rows[0][1].yaxis, _PERCENT)
        panels.add_legend(figure, [rows[0][0]])
        above, below = next(iter(intervals.values()))[0].scenario, throttles[0].scenario
        seeds = len(throttles[0].outcomes)
        style.add_caption(
            figure,
            "Simulated; means over seeds with 95 % Student-t intervals, "
            f"n = {seeds} seeds. Above: {above.runs} runs of the 8B model, {work.nodes} nodes of 8 GPUs each, by what "
            f"breaks (failures in a thousand node-days); dotted: save_freq={pace.save_freq}, the default. Below: "
            f"{below.runs:,} runs of five hours on a node each, on {below.site.nodes} nodes that others preempt. "
            "Source: benchmarks.scale.",
        )
        style.settle(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            style.save(figure, file, "png", name="scale")


def _by_interval(axes: Axes, intervals: Mapping[str, Sequence[Point]], value: _Value, step_hours: float) -> None:
    looks = zip(intervals.items(), cycle(_COLOURS), cycle(_DASHES), cycle(_MARKERS), strict=False)
    for (name, points), colour, dash, marker in looks:
        means = [point.mean(value) for point in points]
        axes.errorbar(
            [point.scenario.choices.save_freq * step_hours for point in points],
            [mean.value for mean in means],
            yerr=[mean.reach for mean in means],
            color=colour,
            linestyle=dash,
            marker=marker,
            capsize=2,
            label=name,
        )
    axes.set_xscale("log")
    _label(axes.xaxis, _HOURS)


def _label(axis: Axis, ticks: Sequence[float]) -> None:
    """Plain numbers on a logarithmic axis."""
    axis.set_minor_locator(NullLocator())
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])


def _by_throttle(axes: Axes, points: Sequence[Point], value: _Value) -> None:
    means = [point.mean(value) for point in points]
    positions = range(len(points))
    axes.errorbar(
        positions,
        [mean.value for mean in means],
        yerr=[mean.reach for mean in means],
        color=style.ALL,
        marker="o",
        capsize=2,
    )
    axes.set_xticks(positions, [str(point.scenario.choices.throttle or "none") for point in points])
    axes.set_xlabel("Throttle (runs side by side)")
