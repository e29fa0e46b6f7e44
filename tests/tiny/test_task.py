"""The task: problems, teacher and verifier."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qae.tiny.sections import Task
from qae.tiny.task import OPERATORS, ChainedArithmetic


def make_task(**changes: object) -> Task:
    values: dict[str, object] = {
        "modulus": 7,
        "pretrain_operations": [2, 5],
        "operations": [4, 5],
        "markers": 24,
        "marker_repeat": 0.15,
        "reliability": [1.2, 0.8],
        "misconception": 0.6,
        "redo_wrong": 0.35,
        "redo_right": 0.05,
        "evaluation_problems": 16,
        "seed": 1234,
    }
    return Task(**{**values, **changes})  # type: ignore[arg-type]


def text(task: ChainedArithmetic, ids: list[int]) -> list[str]:
    return [task.vocabulary.tokens[i] for i in ids if i != task.vocabulary.pad]


def left_to_right(tokens: list[str], modulus: int) -> int:
    value = int(tokens[0])
    for operator, operand in zip(tokens[1:-1:2], tokens[2:-1:2], strict=True):
        value = {"+": value + int(operand), "-": value - int(operand), "*": value * int(operand)}[operator] % modulus
    return value


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), fewest=st.integers(1, 5), more=st.integers(0, 3))
def test_a_prompt_says_what_its_answer_is(seed: int, fewest: int, more: int) -> None:
    task = ChainedArithmetic(make_task(operations=[fewest, fewest + more], evaluation_problems=1))
    problems = task.draw(20, (fewest, fewest + more), np.random.default_rng(seed))
    for prompt, answer in zip(problems.prompt_P_S.tolist(), problems.answer_P.tolist(), strict=True):
        tokens = text(task, prompt)
        assert tokens[-1] == "="
        assert fewest <= sum(t in OPERATORS for t in tokens) <= fewest + more
        assert left_to_right(tokens, 7) == answer


def responses(task: ChainedArithmetic, rows: list[list[int]]) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [task.vocabulary.pad] * (width - len(row)) for row in rows])


def test_a_teacher_that_knows_every_fact_is_always_verified() -> None:
    task = ChainedArithmetic(make_task(reliability=[1e6, 1e-6]))
    problems = task.draw(200, (2, 5), np.random.default_rng(0))
    teacher = random.Random(0)
    rows = [task.solve(a, b, teacher) for a, b in zip(problems.operands_P_N, problems.operators_P_N, strict=True)]
    assert task.verify(responses(task, rows), torch.from_numpy(problems.answer_P)).mean() == 1.0


def test_the_real_teacher_is_imperfect_and_uneven_over_problems() -> None:
    task = ChainedArithmetic(make_task())
    problems = task.draw(60, (4, 5), np.random.default_rng(0))
    teacher = random.Random(0)
    rates = []
    for row in range(len(problems)):
        rows = [task.solve(problems.operands_P_N[row], problems.operators_P_N[row], teacher) for _ in range(32)]
        answers = torch.full((32,), int(problems.answer_P[row]))
        rates.append(float(task.verify(responses(task, rows), answers).mean()))
    assert 0.1 < np.mean(rates) < 0.6
    assert np.std(rates) > 0.1


@pytest.mark.parametrize(
    ("tokens", "reward"),
    [
        (["#", "3", "$"], 1.0),
        (["so", "1", "+", "2", "3", "#", "3", "$"], 1.0),
        (["#", "4", "$"], 0.0),
        (["#", "3"], 0.0),  # no end token: cut off
        (["3", "$"], 0.0),
        (["#", "4", "#", "3", "$"], 0.0),  # a second try at the answer is no answer
        (["#", "3", "so", "$"], 0.0),
        (["$"], 0.0),
    ],
)
def test_the_verifier_wants_one_right_answer_at_the_end(tokens: list[str], reward: float) -> None:
    task = ChainedArithmetic(make_task())
    ids = [task.vocabulary.tokens.index(token) for token in tokens]
    assert task.verify(responses(task, [ids]), torch.tensor([3])).tolist() == [reward]


def test_evaluation_sets_are_fixed_distinct_and_of_the_named_length() -> None:
    first, second = (ChainedArithmetic(make_task()).evaluation_sets() for _ in range(2))
    assert list(first) == ["chain4", "chain5"]
    for name, problems in first.items():
        assert (problems.prompt_P_S == second[name].prompt_P_S).all()
        assert len(set(problems.fingerprints())) == len(problems) == 16
        assert ((problems.operators_P_N >= 0).sum(1) == int(name[-1])).all()


def test_more_evaluation_problems_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation_problems"):
        ChainedArithmetic(make_task(modulus=2, operations=[1, 1], evaluation_problems=500)).evaluation_sets()
