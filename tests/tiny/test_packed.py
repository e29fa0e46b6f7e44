"""The packed update equals the plain one: a full forward pass over prompts and padded responses."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from qae.tiny.sections import Model
from qae.tiny.transformer.model import Transformer
from qae.tiny.transformer.packed import log_probabilities

pytestmark = pytest.mark.slow

VOCABULARY, PROMPT, TOKENS = 11, 6, 15


@pytest.fixture(autouse=True, scope="module")
def double() -> Iterator[None]:
    """In float32 a unit at the kink of its ReLU is on in one computation and off in the other: another gradient."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def transformer() -> Transformer:
    torch.manual_seed(0)
    return Transformer(VOCABULARY, PROMPT + TOKENS, Model(width=32, layers=2, heads=4))


def plain(model: Transformer, prompt_P_S: Tensor, ids_B_T: Tensor, temperature: float) -> Tensor:
    prompt_B_S = prompt_P_S.repeat_interleave(len(ids_B_T) // len(prompt_P_S), 0)
    logits = model(torch.cat([prompt_B_S, ids_B_T[:, :-1]], 1), keep_from=PROMPT - 1) / temperature
    return torch.log_softmax(logits, -1).gather(-1, ids_B_T[..., None])[..., 0]


def gradients(model: Transformer, log_prob_B_T: Tensor, weight_B_T: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad((log_prob_B_T * weight_B_T).sum(), list(model.parameters())))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    prompts=st.integers(1, 4),
    group=st.integers(1, 12),
    temperature=st.sampled_from([1.0, 0.7]),
    gaps=st.booleans(),
)
@example(seed=5624806, prompts=3, group=4, temperature=1.0, gaps=False)  # has such a unit
def test_log_probabilities_and_gradients_equal_the_plain_ones(
    seed: int, prompts: int, group: int, temperature: float, gaps: bool
) -> None:
    """Responses of any length, down to none, and with tokens in between that take no part in the loss."""
    model, generator = transformer(), torch.Generator().manual_seed(seed)
    prompt_P_S = torch.randint(2, VOCABULARY, (prompts, PROMPT), generator=generator)
    ids_B_T = torch.randint(0, VOCABULARY, (prompts * group, TOKENS), generator=generator)
    length_B = torch.randint(0, TOKENS + 1, (prompts * group, 1), generator=generator)
    mask_B_T = (torch.arange(TOKENS) < length_B).double()
    if gaps:
        mask_B_T *= (torch.rand(mask_B_T.shape, generator=generator) < 0.8).double()
    weight_B_T = torch.randn(mask_B_T.shape, generator=generator) * mask_B_T
    found = log_probabilities(model, prompt_P_S, ids_B_T, mask_B_T, temperature)
    expected = plain(model, prompt_P_S, ids_B_T, temperature)
    torch.testing.assert_close(found * mask_B_T, expected * mask_B_T, atol=1e-12, rtol=0)
    for mine, theirs in zip(gradients(model, found, weight_B_T), gradients(model, expected, weight_B_T), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("tokens", [1, 2])
def test_the_shortest_responses_are_computed_too(tokens: int) -> None:
    model = transformer()
    prompt_P_S = torch.full((1, PROMPT), 3)
    ids_B_T = torch.tensor([[4, 5], [6, 7]])[:, :tokens]
    found = log_probabilities(model, prompt_P_S, ids_B_T, torch.ones(2, tokens), 1.0)
    torch.testing.assert_close(found, plain(model, prompt_P_S, ids_B_T, 1.0), atol=1e-12, rtol=0)
