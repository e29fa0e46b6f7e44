"""Batches read without padding say what padded ones say."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qae.tokens.statistics import count_words
from qae.verl_plugin.recording.outputs import Outputs, entropy_sums, policy_entropy

FIELDS = ("responses", "response_mask", "entropy", "advantages", "rm_scores")


def rows(seed: int, lengths: list[int]) -> list[dict[str, Tensor]]:
    """Outputs with holes in their masks, NaN where nothing counts, and rewards at every position."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for length in lengths:
        mask = (torch.rand(length, generator=generator) < 0.7).long()
        entropy = torch.rand(length, generator=generator)
        found.append(
            {
                "responses": torch.randint(0, 50, (length,), generator=generator),
                "response_mask": mask,
                "entropy": torch.where(mask == 1, entropy, torch.tensor(float("nan"))),
                "advantages": torch.randn(1, generator=generator) * mask,
                "rm_scores": torch.randn(length, generator=generator),
            }
        )
    return found


def nested(batch: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.nested.nested_tensor([row[name] for row in batch], layout=torch.jagged) for name in FIELDS}


@pytest.mark.slow
@settings(deadline=None)
@given(seed=st.integers(0, 1000), lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12), cut=st.integers(1, 11))
def test_nested_rows_are_summed_one_by_one(seed: int, lengths: list[int], cut: int) -> None:
    batch = rows(seed, lengths)
    found = Outputs.of(nested(batch))
    for number, row in enumerate(batch):
        taken = row["response_mask"].bool()
        assert int(found.tokens_B[number]) == int(taken.sum())
        assert float(found.entropy_B[number]) == pytest.approx(float(row["entropy"][taken].double().sum()))
        assert float(found.score_B[number]) == pytest.approx(float(row["rm_scores"].double().sum()), abs=1e-6)
        assert float(found.advantage_B[number]) == (float(row["advantages"][taken][0]) if taken.any() else 0.0)
    assert found.ids_N.tolist() == [int(x) for row in batch for x in row["responses"][row["response_mask"].bool()]]
    assert len(found.entropy_N) == len(found.ids_N)
    parts = [Outputs.of(nested(part)) for part in (batch[:cut], batch[cut:]) if part]
    joined = Outputs.joined(parts)
    assert all(torch.equal(getattr(joined, name), getattr(found, name)) for name in vars(found))
    entropy_B, tokens_B = entropy_sums(nested(batch))
    assert torch.equal(entropy_B, found.entropy_B)
    assert torch.equal(tokens_B, found.tokens_B)
    if len(found.ids_N):
        assert policy_entropy(entropy_B, tokens_B) == pytest.approx(float(found.entropy_N.double().mean()))
    else:
        assert math.isnan(policy_entropy(entropy_B, tokens_B))


def test_rows_of_one_length_come_as_a_plain_tensor_and_say_the_same() -> None:
    batch = rows(3, [7, 7, 7, 7])
    plain = {name: torch.stack([row[name] for row in batch]) for name in FIELDS}
    one, other = Outputs.of(plain), Outputs.of(nested(batch))
    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_rewards_of_each_token_take_the_place_of_the_verifiers() -> None:
    batch = rows(4, [3, 5])
    data = nested(batch)
    more = torch.nested.nested_tensor([torch.ones(3), torch.ones(5)], layout=torch.jagged)
    assert Outputs.of(data | {"token_level_rewards": more}).score_B.tolist() == [3.0, 5.0]


def test_a_word_is_counted_by_all_of_its_tokens() -> None:
    """`wait`, ` wait` and `Wait` are tokens of their own in a vocabulary, and one marker word."""
    ids = torch.tensor([4, 4, 7, 9, 2, 7], dtype=torch.int32)
    assert count_words(ids, {4: "wait", 7: "wait", 9: "but", 30: "so"}) == {"wait": 4, "but": 1, "so": 0}
    assert count_words(ids[:0], {4: "wait"}) == {"wait": 0}
