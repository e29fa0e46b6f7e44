"""Responses with a form: only its tokens are possible, and the verifier's word is no choice of the policy."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from qae.embedded.batch import Batch, MiniBatch
from qae.embedded.seeding import Purpose, torch_generator
from qae.tiny.config import TinyConfig
from qae.tiny.policy import TinyPolicy
from qae.tiny.rollout import Rollouts
from qae.tiny.sections import Model
from qae.tiny.task import ChainedArithmetic
from qae.tiny.transformer.form import Form
from qae.tiny.transformer.model import Transformer
from qae.tiny.transformer.packed import log_probabilities
from qae.tiny.transformer.sampling import sample
from tests.support.configs import TINY_FORM, TINY_QUICK, tiny_mapping

pytestmark = pytest.mark.slow

RIGHT, WRONG = 2 * (2 + 4) + 2, 2 * (2 + 4) + 2 + 3  # tokens that the policy chooses
VOCABULARY, PROMPT, TOKENS, VERDICT = 11, 6, 8, 4


@pytest.fixture(scope="module")
def setting() -> tuple[TinyConfig, ChainedArithmetic, Transformer]:
    config = TinyConfig.from_mapping(tiny_mapping(*TINY_QUICK, *TINY_FORM, "data.train_batch_size=16"))
    arithmetic = ChainedArithmetic(config.tiny.task)
    torch.manual_seed(0)
    length = arithmetic.prompt_length + config.data.max_response_length
    return config, arithmetic, Transformer(len(arithmetic.vocabulary), length, config.tiny.model)


@pytest.fixture(scope="module")
def batch(setting: tuple[TinyConfig, ChainedArithmetic, Transformer]) -> Batch:
    config, arithmetic, model = setting
    return Rollouts(config, arithmetic).batch(model, 1)


@pytest.fixture
def double() -> Iterator[None]:
    """As in `test_packed`."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def small_form() -> Form:
    """Fillers 4 to 7, then a digit 8 or 9, twice; the verdict; fillers."""
    filler, digit = range(4, 8), (8, 9)
    return Form.of([filler, digit, filler, digit, (), filler, filler, filler], VOCABULARY, VERDICT)


def small_model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(VOCABULARY, PROMPT + TOKENS, Model(width=32, layers=2, heads=4))


def constrained(model: Transformer, prompt_P_S: Tensor, ids_B_T: Tensor, form: Form, temperature: float) -> Tensor:
    """Log-probabilities of all tokens by a full forward pass, with the impossible ones taken out."""
    prompt_B_S = prompt_P_S.repeat_interleave(len(ids_B_T) // len(prompt_P_S), 0)
    logits = model(torch.cat([prompt_B_S, ids_B_T[:, :-1]], 1), keep_from=prompt_P_S.shape[1] - 1) / temperature
    impossible_T_V = form.bias_T_V < 0
    impossible_T_V[form.verdict_at] = False  # no distribution there
    return torch.log_softmax(logits.masked_fill(impossible_T_V, -torch.inf), -1)


def test_right_and_wrong_responses_have_exact_lengths_and_the_verifiers_word(
    setting: tuple[TinyConfig, ChainedArithmetic, Transformer], batch: Batch
) -> None:
    v = setting[1].vocabulary
    right_B = batch.score_B > 0
    assert right_B.any()
    assert (~right_B).any()
    assert set(batch.tokens_B[right_B].tolist()) == {RIGHT}
    assert set(batch.tokens_B[~right_B].tolist()) == {WRONG}
    word_B = batch.responses.ids_B_T[:, RIGHT]
    assert (word_B[right_B] == v.end).all()
    assert (word_B[~right_B] == v.no).all()
    assert (batch.responses.ids_B_T[right_B, RIGHT + 1 :] == v.pad).all()


def test_every_chosen_token_has_the_kind_of_its_position(
    setting: tuple[TinyConfig, ChainedArithmetic, Transformer], batch: Batch
) -> None:
    kinds = {**dict.fromkeys("0123", "d"), **dict.fromkeys("+-*", "o"), "#": "#"}
    tokens = setting[1].vocabulary.tokens
    for ids, mask in zip(batch.responses.ids_B_T.tolist(), batch.responses.mask_B_T.tolist(), strict=True):
        chosen = "".join(kinds.get(tokens[id_], "f") for id_, taken in zip(ids, mask, strict=True) if taken)
        assert chosen in ("ffdoddffdodd#d", "ffdoddffdodd#dfff")


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampling_follows_the_constrained_policy(
    setting: tuple[TinyConfig, ChainedArithmetic, Transformer], temperature: float
) -> None:
    config, arithmetic, model = setting
    assert arithmetic.form is not None
    problems = arithmetic.draw(20, (2, 2), np.random.default_rng(0))
    prompt_P_S, answer_B = torch.from_numpy(problems.prompt_P_S), torch.from_numpy(problems.answer_P).repeat(8)
    responses = sample(
        model,
        prompt_P_S,
        8,
        config.data.max_response_length,
        pad=arithmetic.vocabulary.pad,
        end=arithmetic.vocabulary.end,
        temperature=temperature,
        top_p=1.0,
        generator=torch_generator(0, Purpose.SAMPLING, 1, 0),
        form=arithmetic.form,
        verdict=lambda ids_B_T: arithmetic.verdict(ids_B_T, answer_B),
    )
    taken = responses.mask_B_T.bool()
    with torch.no_grad():
        policy = constrained(model, prompt_P_S, responses.ids_B_T, arithmetic.form, temperature)
    expected = policy.gather(-1, responses.ids_B_T[..., None])[..., 0]
    torch.testing.assert_close(responses.log_prob_B_T[taken], expected[taken], atol=2e-5, rtol=0)
    entropy = torch.special.entr(policy.exp()).sum(-1)
    torch.testing.assert_close(responses.entropy_B_T[taken], entropy[taken], atol=2e-5, rtol=0)


def test_what_is_put_in_is_in_no_metric(batch: Batch) -> None:
    responses = batch.responses
    assert (responses.mask_B_T[:, RIGHT] == 0).all()
    assert (responses.log_prob_B_T[:, RIGHT] == 0).all()
    assert (responses.entropy_B_T[:, RIGHT] == 0).all()
    others = [t for t in range(responses.ids_B_T.shape[1]) if t != RIGHT]
    assert batch.entropy == pytest.approx(float(responses.entropy_B_T[:, others].sum() / batch.tokens_B.sum()))


def test_a_draw_of_zero_takes_a_possible_token() -> None:
    """Of the draws of this seed one is 0, which would otherwise take the first token of the vocabulary."""
    prompts, n, seed = 64, 80, 146
    drawn = torch.rand(prompts * n, TOKENS, generator=torch.Generator().manual_seed(seed))
    row, position = (drawn == 0).nonzero()[0].tolist()
    form = small_form()
    assert position != VERDICT
    responses = sample(
        small_model(),
        torch.full((prompts, PROMPT), 3),
        n,
        TOKENS,
        pad=0,
        end=1,
        temperature=1.0,
        top_p=1.0,
        generator=torch.Generator().manual_seed(seed),
        form=form,
        verdict=lambda ids_B_T: torch.full((len(ids_B_T),), 2),
    )
    assert form.bias_T_V[position, responses.ids_B_T[row, position]] == 0


@pytest.mark.usefixtures("double")
def test_the_update_gives_impossible_tokens_no_probability() -> None:
    """The probabilities of all tokens at a position, each in a response of its own, add up over the possible ones."""
    model, form = small_model(), small_form()
    for position in (0, 1, 5):
        ids_B_T = torch.full((VOCABULARY, TOKENS), 4)
        ids_B_T[:, position] = torch.arange(VOCABULARY)
        found = log_probabilities(model, torch.full((1, PROMPT), 3), ids_B_T, torch.ones(VOCABULARY, TOKENS), 1.0, form)
        probability_V = found[:, position].exp()
        possible_V = form.bias_T_V[position] == 0
        assert (probability_V[~possible_V] == 0).all()
        assert (probability_V[possible_V] > 0).all()
        assert probability_V.sum().item() == pytest.approx(1)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_packed_update_equals_a_dense_one(temperature: float) -> None:
    model, form, generator = small_model(), small_form(), torch.Generator().manual_seed(1)
    prompt_P_S = torch.randint(3, VOCABULARY, (5, PROMPT), generator=generator)
    right_B = torch.rand(40, generator=generator) < 0.4
    ids_B_T = torch.stack(
        [
            torch.multinomial((bias_V == 0).double(), 40, replacement=True, generator=generator)
            for bias_V in torch.where(torch.arange(TOKENS)[:, None] == VERDICT, 0.0, form.bias_T_V)
        ],
        1,
    )
    mask_B_T = torch.ones(40, TOKENS)
    mask_B_T[right_B, VERDICT:] = 0
    mask_B_T[:, VERDICT] = 0
    weight_B_T = torch.randn(mask_B_T.shape, generator=generator) * mask_B_T
    found = log_probabilities(model, prompt_P_S, ids_B_T, mask_B_T, temperature, form)
    policy = constrained(model, prompt_P_S, ids_B_T, form, temperature)
    expected = policy.gather(-1, ids_B_T[..., None])[..., 0]
    torch.testing.assert_close(found * mask_B_T, expected * mask_B_T, atol=1e-12, rtol=0)
    parameters = list(model.parameters())
    mine, theirs = (torch.autograd.grad((of * weight_B_T).sum(), parameters) for of in (found, expected))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_an_update_moves_no_logit_of_what_the_policy_cannot_say(tmp_path: Path) -> None:
    """Neither of the verifier's words nor of the others that no position has."""
    config = TinyConfig.from_mapping(tiny_mapping(*TINY_QUICK, *TINY_FORM))
    policy = TinyPolicy(config, tmp_path, lambda: False)
    v = ChainedArithmetic(config.tiny.task).vocabulary
    batch = policy.batch(1)
    before = policy.state()["model"]["head.weight"].clone()
    advantage_B = batch.score_B - batch.score_B.mean()
    policy.descend(MiniBatch.of(batch, advantage_B, batch.responses.mask_B_T), 1e-3)
    moved = (policy.state()["model"]["head.weight"] != before).any(1)
    assert not moved[[v.pad, v.end, v.equals, v.wait, v.no]].any()
    assert moved[[v.first_digit, v.first_operator, v.first_marker]].all()


def test_the_teacher_keeps_to_the_form(setting: tuple[TinyConfig, ChainedArithmetic, Transformer]) -> None:
    arithmetic = setting[1]
    v, teacher = arithmetic.vocabulary, random.Random(0)
    problems = arithmetic.draw(100, (2, 2), np.random.default_rng(0))
    for row, answer in enumerate(problems.answer_P):
        response = arithmetic.solve(problems.operands_P_N[row], problems.operators_P_N[row], teacher)
        right = response[RIGHT - 1] == v.first_digit + answer
        assert response[RIGHT] == (v.end if right else v.no)
        assert len(response) == (RIGHT if right else WRONG) + 1


def test_fillers_follow_zipfs_law_of_the_exponent() -> None:
    config = TinyConfig.from_mapping(tiny_mapping(*TINY_QUICK, *TINY_FORM, "tiny.task.zipf_exponent=2.0"))
    arithmetic = ChainedArithmetic(config.tiny.task)
    v, teacher = arithmetic.vocabulary, random.Random(0)
    problems = arithmetic.draw(1000, (2, 2), np.random.default_rng(0))
    said = [
        token
        for a, b in zip(problems.operands_P_N, problems.operators_P_N, strict=True)
        for token in arithmetic.solve(a, b, teacher)
        if token in v.markers
    ]
    weights = np.arange(1, 5.0) ** -2
    found = np.bincount(said, minlength=len(v))[list(v.markers)]
    np.testing.assert_allclose(found / len(said), weights / weights.sum(), atol=0.02)
