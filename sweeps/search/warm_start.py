"""Finished runs of the store as trials of a search: settings of its space that have all of its seeds."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution

from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunStatus
from sweeps.composition.plain import plain
from sweeps.run_store.identity import identity
from sweeps.search import judging
from sweeps.search.measures import MeasureError
from sweeps.search.planner import Planner
from sweeps.search.settings import SearchSettings
from sweeps.search.space import Parameter, Value
from sweeps.search.study import Warm

_MOST_COMBINATIONS = 1000


def find(planner: Planner, space: Sequence[Parameter], seeds: Sequence[int], settings: SearchSettings) -> list[Warm]:
    """Settings whose runs are all done.

    Args:
        planner: of the search.
        space: its parameters.
        seeds: that every setting is judged by.
        settings: how to judge.

    Raises:
        ConfigError: more combinations of listed values than can be looked at.
    """
    found = []
    candidates = _candidates(planner, space)
    plans = planner.plans([[one.override(values[one.name]) for one in space] for values in candidates], seeds)
    for parameters, plan in zip(candidates, plans, strict=True):
        if all(run.state.status is RunStatus.DONE for run in plan.runs):
            runs = [run.directory for run in plan.runs]
            ids = {str(seed): run.run_id for seed, run in zip(seeds, plan.runs, strict=True)}
            try:
                verdict = judging.verdict(runs, settings)
            except MeasureError:
                continue  # a run without the numbers says nothing to the search
            found.append(Warm(parameters, ids, verdict.values, verdict.constraints))
    return found


def _candidates(planner: Planner, space: Sequence[Parameter]) -> list[dict[str, Value]]:
    """Settings that finished runs may have: every combination of listed values, with numbers as runs have them."""
    listed = [one for one in space if one.values is not None]
    open_ended = [one for one in space if one.values is None]
    if math.prod(len(one.values or ()) for one in listed) > _MOST_COMBINATIONS:
        fix = f"the lists and ranges have more than {_MOST_COMBINATIONS} combinations to look for; give false"
        raise ConfigError("sweep.warm_start", True, fix)
    numbers = list(dict.fromkeys(_numbers(planner.store.runs(), open_ended)))
    names = [one.name for one in (*listed, *open_ended)]
    combinations = itertools.product(*(one.values or () for one in listed))
    return [
        dict(zip(names, (*values, *given), strict=True))
        for values, given in itertools.product(combinations, numbers if open_ended else [()])
    ]


def _numbers(runs: Sequence[RunDirectory], parameters: Sequence[Parameter]) -> Iterator[tuple[Value, ...]]:
    """Values of parameters without a list, as finished runs have them inside the intervals."""
    for run in runs if parameters else ():
        try:
            if run.read_state().status is not RunStatus.DONE:
                continue
        except ValueError:  # a run that cannot be read says nothing to the search either
            continue
        config = identity(plain(OmegaConf.load(run.config), resolve=False))
        inside = tuple(value for one in parameters if _inside(value := config.get(one.name), one))
        if len(inside) == len(parameters):
            yield inside


def _inside(value: object, one: Parameter) -> TypeGuard[int | float]:
    if isinstance(one.distribution, CategoricalDistribution) or isinstance(value, bool):
        return False
    return isinstance(value, int | float) and one.distribution._contains(float(value))
