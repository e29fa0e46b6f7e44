"""The pictures of the method hold the method's own numbers."""

import numpy as np
import pytest
import torch

from analysis import method_figures
from qae import advantage
from qae.config import QuantileDefinition


@pytest.mark.parametrize("group", [2, 5, 8, 16, 20, 32])
@pytest.mark.parametrize("k", [0.05, 0.2, 0.4, 0.5, 0.8, 0.95])
def test_baselines_are_those_that_training_uses(k: float, group: int) -> None:
    right = torch.arange(group + 1)
    scores_P_G = (torch.arange(group)[None, :] >= group - right[:, None]).double()
    found = method_figures.baselines(k, group)
    for definition in QuantileDefinition:
        expected = advantage.quantile(scores_P_G, k, definition).squeeze(1)
        assert found[definition.value] == pytest.approx(expected.numpy())


def test_the_definitions_differ_at_one_count_or_none() -> None:
    assert [method_figures.differing_counts(k, 16) for k in (0.2, 0.4, 0.6, 0.8)] == [[], [], [], []]
    assert [method_figures.differing_counts(k, 8) for k in (0.2, 0.4, 0.6, 0.8)] == [[6], [5], [3], [2]]
    assert [method_figures.differing_counts(k, 32) for k in (0.2, 0.4, 0.6, 0.8)] == [[25], [19], [13], [7]]


@pytest.mark.parametrize("definition", ["inverse_cdf", "linear", "mean"])
def test_sparsity_is_that_of_sampled_groups(definition: str) -> None:
    generator = np.random.default_rng(0)
    p, k, group = 0.55, 0.4, 8
    right = generator.binomial(group, p, 200_000)
    right = right[(right > 0) & (right < group)]
    baseline = method_figures.baselines(k, group)[definition][right]
    share = np.where(baseline == 0, 1 - right / group, np.where(baseline == 1, right / group, 0)).mean()
    found = method_figures.expected_zero_share(np.array([p]), k, group, definition)
    assert found[0] == pytest.approx(share, abs=0.002)


@pytest.mark.parametrize(("k", "group"), [(0.05, 2), (0.4, 8), (0.95, 64)])
def test_every_place_of_the_sliders_draws(k: float, group: int) -> None:
    definitions = method_figures.definitions(k, group)
    differing = method_figures.differing_counts(k, group)
    lines = definitions.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["inverse_cdf", "linear", "mean"]
    assert lines[0].get_ydata() == pytest.approx(method_figures.baselines(k, group)["inverse_cdf"])
    assert (str(differing[0]) if differing else "agree") in definitions.axes[0].get_title()
    assert len(method_figures.weights(k).axes) == 2
    assert all(np.isfinite(line.get_ydata()).all() for line in method_figures.sparsity(k, group).axes[0].get_lines())


def test_entropy_grows_with_the_baseline_on_both_prompts() -> None:
    lines = method_figures.entropy_against_baseline().axes[0].get_lines()
    curves = [np.asarray(line.get_ydata()) for line in lines if len(np.asarray(line.get_ydata())) > 2]
    assert len(curves) == 2
    assert all((np.diff(curve) > 0).all() for curve in curves)
