"""What the first steps of a baseline show: entropy, what pushes it, and the groups' success rates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import statistics
from analysis.advice import successes
from analysis.advice.successes import Observed, SuccessRates
from analysis.runs.frames import ArmName, Runs
from analysis.statistics import Mean
from analysis.table import last_steps_of, names_logged
from qae import metrics
from qae.console.text import one_line
from qae.files.numbers import step as step_number

# At the start and at the end of what is looked at.
EDGE_STEPS = 3
FEWEST_STEPS = 2 * EDGE_STEPS
_GROUP_SIZE = "actor_rollout_ref.rollout.n"
_FILTERS = "algorithm.filter_groups.enable"


class TooFewStepsError(ValueError):
    """No run of the arm has come far enough; the text is a sentence for the user."""


@dataclass(frozen=True)
class Evidence:
    """The first steps of an arm's runs: means over seeds with Student's 95 % intervals.

    Attributes:
        arm: the arm, of the mean.
        steps: steps looked at.
        seeds: seeds of the runs that have them all, in order.
        behind: runs of the arm that have not, and are left out.
        start: entropy, mean of the first three steps, nats/token.
        level: entropy, mean of the last three steps looked at.
        change: level relative to the start, minus 1.
        slope: of a least-squares line through entropy, nats/token in ten steps.
        length_change: of the response length, as `change`; None where it is not logged.
        sign_gap: entropy of responses with negative advantage minus that of those with positive, mean over the steps,
            nats/token; None where it is not logged.
        advantage_token_mean: `qae/advantage_token_mean`, mean over the steps; entropy is pushed up where it is negative
            and down where it is positive (docs/why_entropy_explodes.md); None where it is not logged.
        clip_drift: `qae/clip_drift`, mean over the steps; None where it is not logged.
        failure_length: mean length of wrong responses over that of right responses, minus 1; None where not logged.
        rates: success rates of the groups, by seed; empty where the runs do not log the shares that they follow from.
        several_scores: share of groups with more than two scores, for which right and wrong are not all there is.
    """

    arm: ArmName
    steps: int
    seeds: tuple[int, ...]
    behind: int
    start: Mean
    level: Mean
    change: Mean
    slope: Mean
    length_change: Mean | None
    sign_gap: Mean | None
    advantage_token_mean: Mean | None
    clip_drift: Mean | None
    failure_length: Mean | None
    rates: tuple[SuccessRates, ...]
    several_scores: float

    def zero_share(self, k: float) -> Mean | None:
        """Predicted share of zero advantages under K; None without success rates."""
        return self._of_rates([rates.zero_share(k) for rates in self.rates])

    def band_share(self, k: float) -> Mean | None:
        """Share of groups with p between 1/2 and 1 - K; None without success rates."""
        return self._of_rates([rates.band_share(k) for rates in self.rates])

    def hard_share(self, k: float) -> Mean | None:
        """Share of mixed groups with p <= 1 - K; None without success rates."""
        return self._of_rates([rates.hard_share(k) for rates in self.rates])

    def _of_rates(self, values: Sequence[float]) -> Mean | None:
        return statistics.mean_over_seeds(values) if values else None


def gather(runs: Runs, arm: ArmName, steps: int | None = None) -> Evidence:
    """The evidence of an arm.

    Args:
        runs: the arm's runs, others may be among them.
        arm: with the mean as its baseline.
        steps: look at so many first steps; by default at all that the run furthest on has.

    Raises:
        TooFewStepsError: no run has so many, or fewer than six are looked at.
    """
    lasts = last_steps_of(runs, arm)
    reached = int(lasts.max()) if len(lasts) else 0
    wanted = reached if steps is None else steps
    if steps is not None and steps < FEWEST_STEPS:
        raise TooFewStepsError(f"{steps} steps show no course of entropy: give --steps {FEWEST_STEPS} or more")
    if lasts.empty and (logged := names_logged(runs, arm)):
        raise TooFewStepsError(f"{arm.shown} logs no {metrics.ENTROPY.name}, but {logged}; give runs that do")
    if reached < max(wanted, FEWEST_STEPS):
        advice = f"give --steps {reached}" if reached >= FEWEST_STEPS else "let it train on"
        raise TooFewStepsError(
            f"{arm.shown} has {reached} steps on disk and {max(wanted, FEWEST_STEPS)} are needed; {advice}"
        )
    ids = [record.id for record in runs.arms[arm] if record.id in lasts.index and lasts[record.id] >= wanted]
    entropy = _first(runs, arm, metrics.ENTROPY, ids, wanted)
    ids = [run for run in ids if run in entropy and entropy[run].count() >= FEWEST_STEPS]
    if not ids:
        raise TooFewStepsError(f"{arm.shown} logs no {metrics.ENTROPY.name}; give runs that do")
    if broken := [run for run in ids if np.isinf(entropy[run].to_numpy(dtype=float)).any()]:
        at = int(entropy.index[np.isinf(entropy[broken[0]].to_numpy(dtype=float))][0])
        raise TooFewStepsError(
            f"{arm.shown}: the entropy of run {one_line(broken[0])} is infinite at step {at}; its change has no size"
            + (f"; give --steps {at - 1} to look at the steps before" if at > FEWEST_STEPS else "")
        )
    records = [record for record in runs.arms[arm] if record.id in ids]
    several = _first(runs, arm, metrics.MULTI_VALUED_GROUP_FRACTION, ids, wanted)
    return Evidence(
        arm=arm,
        steps=wanted,
        seeds=tuple(record.seed for record in records),
        behind=len(runs.arms[arm]) - len(ids),
        start=_mean(entropy[ids].apply(_start)),
        level=_mean(entropy[ids].apply(_level)),
        change=_mean(entropy[ids].apply(_change)),
        slope=_mean(entropy[ids].apply(_slope)),
        length_change=_mean_or_none(_first(runs, arm, metrics.LENGTH_MEAN, ids, wanted).apply(_change)),
        sign_gap=_sign_gap(runs, arm, ids, wanted),
        advantage_token_mean=_mean_or_none(_first(runs, arm, metrics.ADVANTAGE_TOKEN_MEAN, ids, wanted).mean()),
        clip_drift=_mean_or_none(_first(runs, arm, metrics.CLIP_DRIFT, ids, wanted).mean()),
        failure_length=_failure_length(runs, arm, ids, wanted),
        rates=_rates(runs, arm, ids, wanted),
        several_scores=0.0 if several.empty else float(np.nanmean(several.to_numpy())),
    )


def measured_zero_share(runs: Runs, arm: ArmName, steps: int) -> Mean | None:
    """Share of zero advantages that an arm logged over its first steps, of the runs that have them all."""
    lasts = last_steps_of(runs, arm)
    ids = [str(run) for run in lasts.index[lasts >= steps]]
    return _mean_or_none(_first(runs, arm, metrics.ZERO_FRACTION, ids, steps).mean())


def _first(runs: Runs, arm: ArmName, metric: metrics.Metric, ids: Sequence[str], steps: int) -> pd.DataFrame:
    """A metric over the first steps: index step, one column per run that logs it."""
    series = runs.series(arm, metric.name)
    return series.loc[series.index <= steps, [run for run in ids if run in series]].dropna(how="all")


def _rates(runs: Runs, arm: ArmName, ids: Sequence[str], steps: int) -> tuple[SuccessRates, ...]:
    names = (metrics.POSITIVE_FRACTION, metrics.ZERO_FRACTION, metrics.HARD_GROUP_FRACTION, metrics.GENERATED_KEPT)
    right, zero, hard, kept = (_first(runs, arm, name, ids, steps).mean() for name in names)
    configs = {record.id: record.config for record in runs.arms[arm]}
    found = []
    for run in ids:
        size = step_number(configs[run].get(_GROUP_SIZE))
        if size is None or size < 2 or any(run not in logged for logged in (right, zero, hard)):
            continue
        # Under the mean a response has advantage 0 where its whole group has one score; such a group counts as hard.
        trained = 1 - float(zero[run])
        filtered = configs[run].get(_FILTERS) is True and run in kept
        if trained > 0:
            observed = Observed(
                group_size=size,
                mixed=min(1.0, float(kept[run]) if filtered else trained),
                trained=trained,
                right=min(1.0, float(right[run]) / trained),
                hard=min(1.0, max(0.0, (float(hard[run]) - 1 + trained) / trained)),
            )
            found.append(successes.infer(observed))
    return tuple(found)


def _sign_gap(runs: Runs, arm: ArmName, ids: Sequence[str], steps: int) -> Mean | None:
    negative, positive = (
        _first(runs, arm, metric, ids, steps) for metric in (metrics.ENTROPY_NEGATIVE, metrics.ENTROPY_POSITIVE)
    )
    return _mean_or_none((negative - positive).mean())


def _failure_length(runs: Runs, arm: ArmName, ids: Sequence[str], steps: int) -> Mean | None:
    wrong, right = (_first(runs, arm, metric, ids, steps) for metric in (metrics.LENGTH_WRONG, metrics.LENGTH_RIGHT))
    return _mean_or_none(wrong.mean() / right.mean() - 1)


def _start(column: "pd.Series[float]") -> float:
    return float(column.dropna().head(EDGE_STEPS).mean())


def _level(column: "pd.Series[float]") -> float:
    return float(column.dropna().tail(EDGE_STEPS).mean())


def _change(column: "pd.Series[float]") -> float:
    return _level(column) / _start(column) - 1


def _slope(column: "pd.Series[float]") -> float:
    known = column.dropna()
    steps = known.index.to_numpy(dtype=np.float64)
    return float(10 * np.polyfit(steps, known.to_numpy(dtype=np.float64), 1)[0])


def _mean(values: object) -> Mean:
    numbers = np.asarray(values, dtype=np.float64)
    return statistics.mean_over_seeds(numbers) if not np.isnan(numbers).all() else Mean(np.nan, np.nan, np.nan, 0)


def _mean_or_none(values: object) -> Mean | None:
    numbers = np.asarray(values, dtype=np.float64)
    return statistics.mean_over_seeds(numbers) if not np.isnan(numbers).all() else None
