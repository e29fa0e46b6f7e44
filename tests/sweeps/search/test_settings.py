"""The `search` section: what cannot be used is refused in one sentence that names the key."""

import pytest

from qae.errors import ConfigError
from sweeps.search.measures import Bound, EntropyMeasure
from sweeps.search.settings import PrunerName, SamplerName, SearchSettings
from tests.support.configs import embedded_mapping


def settings(*overrides: str) -> SearchSettings:
    return SearchSettings.of(embedded_mapping(*overrides), room=3)


def test_the_tree_has_a_search_that_can_run() -> None:
    found = settings()
    assert (found.sampler, found.pruner, found.n_jobs, found.n_trials) == (SamplerName.TPE, PrunerName.NONE, 3, 20)
    assert [objective.name for objective in found.objectives] == ["pass_at_1"]


@pytest.mark.slow
def test_objectives_and_constraints() -> None:
    found = settings("search.objectives=[pass_at_1,pass_at_16,negative_peak_entropy]")
    assert [objective.k for objective in found.objectives] == [1, 16, None]
    (bound,) = settings("search.constraints={final_entropy: [0.2, 1.0]}").constraints
    assert bound == Bound(EntropyMeasure.FINAL, 0.2, 1.0)
    assert [violation > 0 for violation in bound.violations(0.1)] == [True, False]
    assert not any(violation > 0 for violation in bound.violations(0.5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("search.sampler=tpee",), "search.sampler='tpee' cannot be used: choose one of tpe, gp"),
        (("search.pruner=mean",), "search.pruner='mean' cannot be used: choose one of none, median"),
        (("search.n_trials=0",), "search.n_trials=0 cannot be used: give a whole number of at least 1"),
        (("search.max_steps=1.5",), "search.max_steps=1.5 cannot be used"),
        (("search.pruner_p=1",), "search.pruner_p=1 cannot be used: give a number between 0 and 1"),
        (("search.objectives=[reward]",), "search.objectives='reward' cannot be used: give pass_at_1"),
        (("search.objectives=[]",), "search.objectives=[] cannot be used"),
        (("search.constraints={entropy: [0, 1]}",), "choose one of peak_entropy, lowest_entropy, final_entropy"),
        (("search.constraints={peak_entropy: [1, 0]}",), "give the lowest and the highest value"),
        (("search.constraints={peak_entropy: [null, null]}",), "give the lowest and the highest value"),
        (("search.constraints={peak_entropy: [null, 1]}", "search.sampler=qmc"), "takes no account of"),
        (("search.objectives=[pass_at_1,pass_at_16]", "search.pruner=median"), "nothing is pruned"),
        (("search.objectives=[negative_peak_entropy]", "search.pruner=median"), "pruners look at pass@k"),
        (("search.objectives=[pass_at_1,pass_at_16]", "search.sampler=cmaes"), "for several objectives"),
        (("sweep.warm_start=maybe",), "sweep.warm_start='maybe' cannot be used: give true or false"),
    ],
)
def test_what_cannot_be_used_is_refused(overrides: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        settings(*overrides)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)
