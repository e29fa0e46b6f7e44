"""Success rates inferred from shares that a run records, and what each K does to such groups."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.advice.successes import Observed, SuccessRates, infer
from qae import metrics, theory
from qae.advantage import group_advantages
from qae.config import AdvantageConfig
from qae.diagnostics import advantage_diagnostics

KS = (0.2, 0.4, 0.5, 0.6, 0.8)


def observed_of(share_S: np.ndarray, trained: float = 1.0) -> Observed:
    """The shares that a distribution over s = 1 ... G - 1 shows."""
    size = len(share_S) + 1
    count_S = np.arange(1, size)
    hard = float(share_S[2 * count_S <= size].sum())
    return Observed(size, 0.8, trained, float(share_S @ count_S) / size, min(1.0, hard))


@st.composite
def distributions(draw: st.DrawFn) -> np.ndarray:
    size = draw(st.integers(2, 20))
    weights = draw(st.lists(st.floats(0, 1), min_size=size - 1, max_size=size - 1).filter(lambda w: sum(w) > 0.1))
    return np.array(weights) / sum(weights)


@pytest.mark.slow
@settings(deadline=None)
@given(distributions(), st.floats(0.1, 1))
def test_the_distribution_has_the_shares_that_were_observed(share_S: np.ndarray, trained: float) -> None:
    observed = observed_of(share_S, trained)
    rates = infer(observed)
    again = observed_of(rates.share_S[1:-1] / trained)
    assert rates.share_S.sum() == pytest.approx(1)
    assert rates.share_S[1:-1].sum() == pytest.approx(trained)
    assert again.hard == pytest.approx(observed.hard, abs=1e-9)
    assert again.right == pytest.approx(observed.right, abs=1e-6)


@pytest.mark.slow
@settings(deadline=None)
@given(distributions(), st.sampled_from(KS))
def test_each_response_has_an_advantage_of_one_sign(share_S: np.ndarray, k: float) -> None:
    rates = SuccessRates(np.array([0.0, *share_S, 0.0]))
    easy = ~theory.is_hard(rates.rates, k)
    negative = float(rates.share_S @ np.where(easy, 1 - rates.rates, 0))
    assert rates.zero_share(k) + rates.positive_share(k) + negative == pytest.approx(1)


@pytest.mark.slow
@settings(deadline=None)
@given(distributions(), st.floats(0.05, 0.95))
def test_no_k_leaves_more_zero_than_the_median_and_only_the_band_differs(share_S: np.ndarray, k: float) -> None:
    rates = SuccessRates(np.array([0.0, *share_S, 0.0]))
    assert rates.zero_share(k) <= rates.zero_share(0.5) + 1e-12
    assert rates.zero_share(0.5) - rates.zero_share(k) <= rates.band_share(k) + 1e-12
    assert rates.band_share(k) == pytest.approx(abs(rates.hard_share(k) - rates.hard_share(0.5)), abs=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.6, 2.0), (2.0, 2.0), (0.4, 0.4), (3.0, 1.0)])
@pytest.mark.parametrize("filtered", [True, False])
def test_from_what_the_mean_records_follows_what_each_k_does_to_the_same_batch(
    a: float, b: float, filtered: bool
) -> None:
    size, groups = 16, 4_000
    generator = np.random.default_rng(0)
    score_P_G = (generator.random((groups, size)) < generator.beta(a, b, size=(groups, 1))).astype(np.float32)
    mixed_P = (score_P_G != score_P_G[:, :1]).any(1)
    kept = score_P_G[mixed_P] if filtered else score_P_G
    of_mean = recorded(kept, -1)
    trained = 1 - of_mean[metrics.ZERO_FRACTION.name]
    rates = infer(
        Observed(
            size,
            float(mixed_P.mean()),
            trained,
            of_mean[metrics.POSITIVE_FRACTION.name] / trained,
            (of_mean[metrics.HARD_GROUP_FRACTION.name] - 1 + trained) / trained,
        )
    )
    for k in KS:
        of_k = recorded(kept, k)
        assert rates.zero_share(k) == pytest.approx(of_k[metrics.ZERO_FRACTION.name], abs=0.015)
        assert rates.positive_share(k) == pytest.approx(of_k[metrics.POSITIVE_FRACTION.name], abs=0.015)


def recorded(score_P_G: np.ndarray, k: float) -> dict[str, float]:
    """What the trainer records of a batch under K."""
    score_B = torch.from_numpy(score_P_G).flatten()
    group_B = torch.arange(len(score_P_G)).repeat_interleave(score_P_G.shape[1])
    found = group_advantages(score_B, group_B, AdvantageConfig(quantile_k=k))
    return advantage_diagnostics(score_B, group_B, found.baseline_B, found.advantage_B, k)


def test_shares_that_no_distribution_has_give_the_nearest_mean() -> None:
    rates = infer(Observed(8, 0.5, 1.0, right=0.9, hard=1.0))
    assert rates.share_S[4] == pytest.approx(1, abs=1e-3)
    assert infer(Observed(8, 1.0, 1.0, right=0.0, hard=0.0)).share_S[5] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "observed", [Observed(8, 0.0, 1, 0.5, 0.5), Observed(8, 1, 1, 1.2, 0.5), Observed(1, 1, 1, 0.5, 0.5)]
)
def test_what_is_no_share_is_refused(observed: Observed) -> None:
    with pytest.raises(ValueError, match=r"shares must lie|a group of 1"):
        infer(observed)
