"""What the first steps of the mean show and what trained baselines came to, as data, as lines and as records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box

from analysis.advice import evidence as evidences
from analysis.advice import measured
from analysis.advice.evidence import Evidence, TooFewStepsError
from analysis.advice.measured import Results
from analysis.runs.frames import ArmName, Runs
from analysis.statistics import Estimate, Mean
from analysis.wording import seeds_in_words
from qae.console.literal import LiteralTable

# Of the paper's Fig. 9, with the median between them, at which the most advantages are zero.
KS = (0.2, 0.4, 0.5, 0.6, 0.8)
COLUMNS = ("K", "right only", "in the band", "zero advantages", "measured (n)", "pass@1")
# In the order in which a narrow terminal goes without them.
LEAST = ("in the band", "right only", "measured (n)", "zero advantages", "pass@1")
_NONE = "—"
# Above this share of groups with more than two scores the predicted shares are not to be relied on.
_MANY_SCORES = 0.05


@dataclass(frozen=True)
class Forecast:
    """What a K does to the groups that the baseline had.

    Attributes:
        k: the quantile.
        hard: share of mixed groups that would teach by right responses only (p <= 1 - K).
        band: share of groups with p between 1/2 and 1 - K, which K treats otherwise than K = 0.5.
        zero: share of responses with advantage 0.
        measured_zero: the same as runs with this K logged it over the same steps; None without such runs.
        value: pass@1 of these runs where they end; None without such runs.
    """

    k: float
    hard: Mean
    band: Mean
    zero: Mean
    measured_zero: Mean | None
    value: Estimate | None


@dataclass(frozen=True)
class Advice:
    """All that is said on one arm of the mean.

    Attributes:
        evidence: its first steps.
        results: trained baselines of the same variant.
        forecasts: a row per K; empty where success rates are not known.
        cautions: sentences on what the evidence does not show.
    """

    evidence: Evidence
    results: Results
    forecasts: tuple[Forecast, ...]
    cautions: tuple[str, ...]


def baselines(runs: Runs) -> list[ArmName]:
    """The arms with the mean."""
    return [arm for arm in runs.arms if arm.baseline == "mean"]


def advise(runs: Runs, arm: ArmName, steps: int | None = None) -> Advice:
    """Advice on one arm of the mean.

    Args:
        runs: its runs and, where there are any, those of other baselines.
        arm: one of `baselines`.
        steps: look at so many first steps of the arm; by default at all.

    Raises:
        TooFewStepsError: no run of the arm has come far enough.
    """
    found = evidences.gather(runs, arm, steps)
    results = measured.results(runs, arm)
    return Advice(found, results, _forecasts(runs, found, results), _cautions(found, results))


def advise_all(runs: Runs, steps: int | None = None) -> tuple[list[Advice], list[str]]:
    """Advice on every arm of the mean that has come far enough, and a sentence on each of the others."""
    found, left_out = [], []
    for arm in baselines(runs):
        try:
            found.append(advise(runs, arm, steps))
        except TooFewStepsError as error:
            left_out.append(str(error))
    return found, left_out


def lines(advice: Advice) -> Iterator[str]:
    """The advice in sentences."""
    seen = advice.evidence
    behind = f"; {seen.behind} more not that far" if seen.behind else ""
    seeds = f"{seeds_in_words(len(seen.seeds))} ({_listed(seen.seeds)})"
    yield f"{seen.arm.shown}: the first {seen.steps} steps of {seeds}{behind}"
    yield (
        f"  entropy: {_mean(seen.start, 2)} nats/token at the start, {_mean(seen.level, 2)} over the last 3 of these "
        f"steps: {_percent(seen.change)}; slope {_mean(seen.slope, 3, signed=True)} nats/token in 10 steps"
    )
    if seen.sign_gap is not None:
        yield f"  by sign: negative minus positive advantage {_mean(seen.sign_gap, 3, signed=True)} nats/token"
    if seen.length_change is not None:
        yield f"  length: {_percent(seen.length_change)}"
    yield from (f"  {sentence}" for sentence in _cause(seen))
    yield from (f"  {sentence}" for sentence in _measured(advice.results))
    yield from (f"  but: {caution}" for caution in advice.cautions)


def table(advice: Advice) -> LiteralTable:
    """What each K would do, for a terminal."""
    shown = LiteralTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        shown.add_column(name, justify="right")
    for row in cells(advice):
        shown.add_row(*row)
    return shown


def cells(advice: Advice) -> list[tuple[str, ...]]:
    """Rows under `COLUMNS`."""
    return [
        (
            f"{of.k:g}",
            _mean(of.hard, 2),
            _mean(of.band, 2),
            _mean(of.zero, 2),
            _NONE if of.measured_zero is None else f"{_mean(of.measured_zero, 2)} ({of.measured_zero.seeds})",
            _NONE if of.value is None else f"{of.value.value:.3f} [{of.value.low:.3f}, {of.value.high:.3f}]",
        )
        for of in advice.forecasts
    ]


def caption(advice: Advice) -> str:
    """What the numbers under `COLUMNS` are."""
    seen, ends = advice.evidence, {of.step for of in advice.results.baselines}
    end = f"at step {ends.pop()}" if len(ends) == 1 else "where the runs end"
    return (
        f"Shares over the first {seen.steps} steps. Right only: of the groups with right and wrong responses those "
        "that teach by the right ones (p <= 1 - K); in the band: p between 1/2 and 1 - K. Zero advantages: predicted "
        f"from the success rates of the mean's groups ({seeds_in_words(len(seen.rates))}); measured: as runs with that "
        f"K logged it over the same steps. pass@1: {end}. [ ]: 95 % intervals, Student's t over seeds, for pass@1 "
        "bootstrap over seeds and problems."
    )


def record(advice: Advice) -> dict[str, object]:
    """For scripts."""
    seen = advice.evidence
    return {
        "baseline": str(seen.arm),
        "steps": seen.steps,
        "seeds": list(seen.seeds),
        "start": _numbers(seen.start),
        "level": _numbers(seen.level),
        "change": _numbers(seen.change),
        "slope": _numbers(seen.slope),
        "length_change": _numbers(seen.length_change),
        "sign_gap": _numbers(seen.sign_gap),
        "advantage_token_mean": _numbers(seen.advantage_token_mean),
        "clip_drift": _numbers(seen.clip_drift),
        "failure_length": _numbers(seen.failure_length),
        "measured": [
            {"arm": str(of.arm), "step": of.step, "pass@1": _numbers(of.value)} for of in advice.results.baselines
        ],
        "differences": [
            {
                "first": str(of.first),
                "second": str(of.second),
                "value": of.value,
                "low": of.low,
                "high": of.high,
                "seeds": of.seeds,
                "separated": of.is_separated,
            }
            for of in advice.results.differences
        ],
        "cautions": list(advice.cautions),
        "forecasts": [
            {
                "k": of.k,
                "hard_share": _numbers(of.hard),
                "band_share": _numbers(of.band),
                "zero_share": _numbers(of.zero),
                "measured_zero_share": _numbers(of.measured_zero),
                "pass@1": _numbers(of.value),
            }
            for of in advice.forecasts
        ],
    }


def _forecasts(runs: Runs, seen: Evidence, results: Results) -> tuple[Forecast, ...]:
    arms = {arm.k: arm for arm in runs.arms if arm.variant == seen.arm.variant and measured.is_quantile(arm)}
    values = {of.arm.k: of.value for of in results.baselines if measured.is_quantile(of.arm)}
    found = []
    for k in sorted({*KS, *(k for k in arms if k is not None)}):
        hard, band, zero = seen.hard_share(k), seen.band_share(k), seen.zero_share(k)
        if hard is None or band is None or zero is None:
            return ()
        logged = evidences.measured_zero_share(runs, arms[k], seen.steps) if k in arms else None
        found.append(Forecast(k, hard, band, zero, logged, values.get(k)))
    return tuple(found)


def _cause(seen: Evidence) -> Iterator[str]:
    """What pushes entropy, as far as it is logged (docs/why_entropy_explodes.md)."""
    if seen.failure_length is not None:
        yield f"failures: wrong responses against right responses in length {_percent(seen.failure_length)}"
    if seen.advantage_token_mean is not None:
        pushed = _pushed(seen.advantage_token_mean)
        yield f"cause: advantage, mean over tokens, {_mean(seen.advantage_token_mean, 3, signed=True)}: {pushed}"
    if seen.clip_drift is not None:
        yield f"clip: drift of entropy {_mean(seen.clip_drift, 4, signed=True)} advantage/token"


def _pushed(advantage: Mean) -> str:
    """What the net advantage does to entropy; a single seed is judged by its value."""
    low, high = (advantage.value,) * 2 if advantage.seeds == 1 else (advantage.low, advantage.high)
    if high < 0:
        return "entropy is pushed up"
    return "entropy is pushed down" if low > 0 else "a push of entropy is not told apart from none"


def _measured(results: Results) -> Iterator[str]:
    best = results.best
    if best is None:
        return
    value = best.value
    yield (
        f"measured: of {len(results.baselines)} trained baselines {best.arm.shown} ends highest, pass@1 "
        f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}] ({seeds_in_words(value.seeds)}, {value.problems} "
        f"problems, step {best.step})."
    )
    for difference in results.differences:
        told = "" if difference.is_separated else ", not told apart"
        yield f"against the mean: {difference.first.shown} {difference} ({seeds_in_words(difference.seeds)}){told}"


def _cautions(seen: Evidence, results: Results) -> tuple[str, ...]:
    found = []
    if len(seen.seeds) == 1:
        found.append("weak evidence: one seed does not show how much seeds differ.")
    if seen.several_scores > _MANY_SCORES:
        found.append(
            f"{seen.several_scores:.0%} of groups have more than two scores; the predicted shares know right and "
            "wrong only."
        )
    if not any(of.arm != seen.arm for of in results.baselines):
        found.append("no other baseline of this variant is trained in the source: nothing is compared with the mean.")
    if any(not difference.is_separated for difference in results.differences):
        found.append("not every difference is told apart from zero; `qae refine` proposes seeds that tell.")
    return tuple(found)


def _mean(mean: Mean, digits: int, *, signed: bool = False) -> str:
    form = f"{'+' if signed else ''}.{digits}f"
    interval = "" if mean.seeds == 1 else f" [{mean.low:{form}}, {mean.high:{form}}]"
    return f"{mean.value:{form}}{interval}"


def _percent(mean: Mean) -> str:
    interval = "" if mean.seeds == 1 else f" [{mean.low:+.0%}, {mean.high:+.0%}]"
    return f"{mean.value:+.0%}{interval}"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)


def _numbers(of: Mean | Estimate | None) -> Mapping[str, float] | None:
    return None if of is None else {"value": of.value, "low": of.low, "high": of.high, "seeds": of.seeds}
