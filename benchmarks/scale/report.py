"""The tables of docs/scale.md."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.scale import theory
from benchmarks.scale.experiments import MODELS, SAVE_FREQS, Mean, Point, model
from benchmarks.scale.settings import DAY, RSC_1, RSC_1_JOBS


def models() -> Iterator[str]:
    """What Daly's interval is for each model, beside what it has by default."""
    yield _row("model", "nodes", "step", "checkpoint", "save_freq", "RSC-1", "RSC-1 jobs", "a kill a day")
    yield _rule(8)
    for name in MODELS:
        work, pace = model(name)
        kills = [work.nodes * (hazards.node_failures + hazards.crashes) for hazards in (RSC_1, RSC_1_JOBS)]
        best = [
            theory.in_steps(theory.daly(work.checkpoint_seconds, DAY / a_day), work.step_seconds)
            for a_day in (*kills, 1.0)
        ]
        times = f"{work.step_seconds / 60:.0f} min", f"{work.checkpoint_seconds:.0f} s"
        yield _row(f"`{name}`", work.nodes, *times, pace.save_freq, *best)


def intervals(points: Mapping[str, Sequence[Point]]) -> Iterator[str]:
    """Wasted over useful GPU time by checkpoint interval, and the best interval beside Young's and Daly's."""
    step = model("qwen3-8b-base")[0].step_seconds
    yield _row("save_freq", "interval", *points)
    yield _rule(2 + len(points))
    for index, save_freq in enumerate(SAVE_FREQS):
        wasted = [_percent(each[index].mean(lambda outcome: outcome.waste)) for each in points.values()]
        yield _row(save_freq, f"{save_freq * step / 3_600:.1f} h", *wasted)
    kills = [_pooled_kills(each) for each in points.values()]
    yield _row("kills", "a run and day", *(f"{a_day:.3f}" for a_day in kills))
    dump = model("qwen3-8b-base")[0].checkpoint_seconds
    for name, rule in (("Young", theory.young), ("Daly", theory.daly)):
        yield _row(name, "save_freq", *(theory.in_steps(rule(dump, DAY / a_day), step) for a_day in kills))
    yield _row("best", "of the rows", *(_best(each) for each in points.values()))


def throttles(points: Sequence[Point]) -> Iterator[str]:
    """Completion, waste and calls by throttle."""
    yield _row("throttle", "hours", "wasted GPU hours", "of the useful", "preempted", "squeue per hour", "calls")
    yield _rule(7)
    for point in points:
        squeue = point.mean(lambda outcome: outcome.calls["squeue"] / outcome.hours)
        wasted = point.mean(lambda outcome: outcome.gpu_hours(outcome.spent.wasted))
        preempted = point.mean(lambda outcome: outcome.reasons["preempted"] + outcome.reasons["at_grace"])
        yield _row(
            point.scenario.choices.throttle or "none",
            _number(point.mean(lambda outcome: outcome.hours), 1),
            _number(wasted),
            _percent(point.mean(lambda outcome: outcome.waste)),
            _number(preempted),
            _number(squeue),
            _number(point.mean(lambda outcome: outcome.controller_calls)),
        )


def sizes(points: Sequence[Point]) -> Iterator[str]:
    """What ever more runs ask of Slurm and of the file server."""
    yield _row(
        "runs", "hours", "attempts", "arrays", "sbatch", "squeue", "per hour", "scontrol", "sacctmgr", "files read"
    )
    yield _rule(10)
    for point in points:
        (outcome,) = point.outcomes
        calls = [f"{outcome.calls[command]:,}" for command in ("sbatch", "squeue")]
        others = [f"{outcome.calls[command]:,}" for command in ("scontrol", "sacctmgr")]
        yield _row(
            f"{point.scenario.runs:,}",
            f"{outcome.hours:,.0f}",
            f"{outcome.attempts:,}",
            outcome.arrays,
            *calls,
            f"{outcome.calls['squeue'] / outcome.hours:.0f}",
            *others,
            f"{outcome.file_reads:,}",
        )


def _pooled_kills(points: Sequence[Point]) -> float:
    return sum(point.kills_a_day for point in points) / len(points)


def _best(points: Sequence[Point]) -> int:
    best = min(points, key=lambda point: point.mean(lambda outcome: outcome.waste).value)
    return best.scenario.choices.save_freq


def _percent(mean: Mean) -> str:
    return f"{100 * mean.value:.2f} ± {100 * mean.reach:.2f} %"


def _number(mean: Mean, digits: int = 0) -> str:
    return f"{mean.value:,.{digits}f} ± {mean.reach:,.{digits}f}"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _rule(columns: int) -> str:
    return "|--:" * columns + "|"
