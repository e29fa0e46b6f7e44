"""Sampling from the cache equals reading the distribution off a full forward pass."""

import pytest
import torch
from torch import Tensor

from qae.embedded.batch import Responses
from qae.tiny.sections import Model
from qae.tiny.transformer.model import Transformer
from qae.tiny.transformer.sampling import sample

PAD, END, VOCABULARY, PROMPT, TOKENS = 0, 1, 11, 6, 20


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    transformer = Transformer(VOCABULARY, PROMPT + TOKENS, Model(width=32, layers=2, heads=4))
    with torch.no_grad():
        transformer.head.weight.mul_(3)  # a peaked policy, so that orders and nuclei differ
    return transformer


def draw(
    model: Transformer, prompts: Tensor, n: int, seed: int = 0, *, temperature: float = 1.0, top_p: float = 1.0
) -> Responses:
    generator = torch.Generator().manual_seed(seed)
    return sample(
        model, prompts, n, TOKENS, pad=PAD, end=END, temperature=temperature, top_p=top_p, generator=generator
    )


def prompts(count: int) -> Tensor:
    return torch.randint(2, VOCABULARY, (count, PROMPT), generator=torch.Generator().manual_seed(1))


def full_logits(model: Transformer, prompt: Tensor, responses: Responses, n: int) -> Tensor:
    ids = torch.cat([prompt.repeat_interleave(n, 0), responses.ids_B_T[:, :-1]], 1)
    with torch.no_grad():
        logits: Tensor = model(ids, keep_from=PROMPT - 1)
    return logits


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.3])
def test_log_probabilities_and_entropies_equal_a_full_forward_pass(model: Transformer, temperature: float) -> None:
    prompt = prompts(40)
    responses = draw(model, prompt, 8, temperature=temperature)
    log_prob = torch.log_softmax(full_logits(model, prompt, responses, 8) / temperature, -1)
    taken = responses.mask_B_T.bool()
    expected = log_prob.gather(-1, responses.ids_B_T[..., None])[..., 0]
    torch.testing.assert_close(responses.log_prob_B_T[taken], expected[taken], atol=2e-5, rtol=0)
    entropy = -(log_prob.exp() * log_prob).sum(-1)
    torch.testing.assert_close(responses.entropy_B_T[taken], entropy[taken], atol=2e-5, rtol=0)


def test_mask_ends_with_the_end_token_and_padding_is_empty(model: Transformer) -> None:
    responses = draw(model, prompts(64), 16)
    length = responses.mask_B_T.sum(1).long()
    ended = (responses.ids_B_T == END).any(1)
    assert ended.any()
    assert (~ended).any()
    for row in range(len(length)):
        body, rest = responses.ids_B_T[row, : length[row]], responses.ids_B_T[row, length[row] :]
        assert (rest == PAD).all()
        assert (body[:-1] != END).all()
        assert bool(body[-1] == END) == bool(ended[row])
    padding = responses.mask_B_T == 0
    assert (responses.log_prob_B_T[padding] == 0).all()
    assert (responses.entropy_B_T[padding] == 0).all()


@pytest.mark.slow
def test_first_token_frequencies_follow_the_policy(model: Transformer) -> None:
    prompt, n = prompts(1), 20_000
    responses = draw(model, prompt, n)
    probability = torch.softmax(full_logits(model, prompt, responses, n)[0, 0], -1)
    frequency = torch.bincount(responses.ids_B_T[:, 0], minlength=VOCABULARY) / n
    error = (probability * (1 - probability) / n).sqrt()
    assert ((frequency - probability).abs() <= 5 * error + 1e-9).all()


@pytest.mark.slow
def test_top_p_samples_only_from_the_nucleus(model: Transformer) -> None:
    prompt, n, top_p = prompts(1), 5_000, 0.6
    responses = draw(model, prompt, n, top_p=top_p)
    probability = torch.softmax(full_logits(model, prompt, responses, n)[0, 0], -1)
    ordered, order = probability.sort(descending=True)
    nucleus = order[: int((ordered.cumsum(0) < top_p).sum()) + 1]
    assert set(responses.ids_B_T[:, 0].tolist()) == set(nucleus.tolist())
    expected = probability[responses.ids_B_T[:, 0]] / probability[nucleus].sum()
    torch.testing.assert_close(responses.log_prob_B_T[:, 0].exp(), expected, atol=1e-4, rtol=0)


def test_a_seed_decides_everything(model: Transformer) -> None:
    first, again, other = (draw(model, prompts(16), 4, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.ids_B_T, again.ids_B_T)
    assert torch.equal(first.log_prob_B_T, again.log_prob_B_T)
    assert not torch.equal(first.ids_B_T, other.ids_B_T)
