"""Optuna's samplers and pruners, by the names of the `search` section."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from qae.errors import ConfigError
from qae.files.search_record import TrialNote
from sweeps.search.settings import PrunerName, SamplerName, SearchSettings
from sweeps.search.space import Parameter

_SEEDS_APART = 100_003  # a prime above any number of trials: seeds of two searches do not run into each other


class _Grid(GridSampler):
    """The grid without its end: `Study.stop` is for Optuna's own loop, ours counts settings."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Let the study go on."""


def sampler(  # noqa: PLR0911  # a return a name
    settings: SearchSettings, space: Sequence[Parameter], number: int
) -> BaseSampler:
    """The sampler that proposes a trial.

    Each trial has one of its own, seeded by its number. So what is proposed depends on the results so far and on
    nothing else: a search that was killed goes on as if it had not been, where one sampler would begin again with the
    proposals of its start. QMC and the grid are sequences, which the study itself counts on.

    Args:
        settings: of the search.
        space: its parameters.
        number: of the trial.
    """
    seed = settings.sampler_seed * _SEEDS_APART + number
    startup = settings.startup_trials
    bounds = _violations if settings.constraints else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match settings.sampler:
            case SamplerName.TPE:
                return TPESampler(
                    seed=seed, n_startup_trials=startup, multivariate=len(space) > 1, constraints_func=bounds
                )
            case SamplerName.GP:
                return GPSampler(seed=seed, n_startup_trials=startup, constraints_func=bounds)
            case SamplerName.CMAES:
                return CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
            case SamplerName.NSGAII:
                return NSGAIISampler(seed=seed, population_size=max(2, startup), constraints_func=bounds)
            case SamplerName.QMC:
                return QMCSampler(seed=settings.sampler_seed, scramble=True, warn_independent_sampling=False)
            case SamplerName.RANDOM:
                return RandomSampler(seed=seed)
            case SamplerName.GRID:
                return _Grid({one.name: _listed(one) for one in space}, seed=settings.sampler_seed)


def pruner(settings: SearchSettings, total_steps: int) -> BasePruner:
    """The pruner of a search.

    Args:
        settings: of the search.
        total_steps: global steps of a run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match settings.pruner:
            case PrunerName.MEDIAN:
                return MedianPruner(n_startup_trials=settings.pruner_trials, n_warmup_steps=settings.pruner_warmup)
            case PrunerName.HYPERBAND:
                least = max(1, settings.pruner_warmup)
                return HyperbandPruner(min_resource=least, max_resource=max(least + 1, total_steps))
            case PrunerName.NONE | PrunerName.WILCOXON:  # the second one judges whole runs: `judging.is_worse`
                return NopPruner()


def check(settings: SearchSettings, space: Sequence[Parameter]) -> None:
    """Refuse a space that the sampler cannot search.

    Raises:
        ConfigError: names the parameter.
    """
    for one in space:
        if settings.sampler is SamplerName.GRID:
            _listed(one)


def _listed(one: Parameter) -> list[int | float | str | bool | None]:
    if one.values is None:
        raise ConfigError("search.sampler", "grid", f"it needs a list or a range of values, {one.name} has an interval")
    return list(one.values)


def _violations(trial: FrozenTrial) -> Sequence[float]:
    # A trial that ended early may not have been measured; it counts as violating.
    found: Sequence[float] = trial.user_attrs.get(TrialNote.CONSTRAINTS, [1.0])
    return found
