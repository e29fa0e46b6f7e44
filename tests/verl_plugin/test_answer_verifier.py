"""The verifier of the paper's time against verl's own functions, on responses as models write them."""

import asyncio
from typing import cast

import pytest
from hydra import compose, initialize_config_module
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.utils.reward_score import default_compute_score, math_dapo

from qae.verl_plugin.answer_verifier import compute_score
from sweeps.data.sets import DAPO, EVALUATION_SETS
from sweeps.verl.overrides import verl_overrides
from tests.support.configs import verl_mapping

SOURCES = (DAPO.data_source, *(one.data_source for one in EVALUATION_SETS))
TAIL = "So the sum of all such values is as computed above, and we have checked it. " * 4  # 304 characters
# What a response is, and whether the answer 34 is found after "Answer:" and in verl 0.9.1.
RESPONSES = {
    "plain": ("We add 12 and 22.\n\nAnswer: 34", True, True),
    "dollars": ("Thus $x = 34$.\nAnswer: $34$", True, True),
    "lower case": ("so it is done.\nanswer : 34", True, True),
    "boxed only": (r"The answer is \boxed{34}.", False, True),
    "boxed inside the line": (r"Answer: \boxed{34}", True, True),
    "boxed right, line wrong": ("We get \\boxed{34}.\n\nAnswer: 35", False, False),
    "boxed wrong, line right": ("We get \\boxed{35}.\n\nAnswer: 34", True, True),
    "two lines": ("Answer: 35\nNo, I was wrong.\nAnswer: 34", True, True),
    "line before the last 300 characters": (f"Answer: 34\n{TAIL}", False, False),
    "line at their beginning": (f"{TAIL}\nAnswer: 34\n{TAIL[-280:]}", True, True),
    "boxed before the last 100": (rf"\boxed{{34}} {'is it, since ' * 10}", False, False),
    "wrong number": ("Answer: 3", False, False),
    "no answer": ("I do not know.", False, False),
    "empty": ("", False, False),
}


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("source", SOURCES)
def test_an_answer_counts_after_its_word_alone(name: str, source: str) -> None:
    response, by_line, by_verl = RESPONSES[name]
    found = cast("dict[str, object]", compute_score(source, response, "34"))
    theirs = default_compute_score(source, response, "34")
    assert (found["acc"], found["score"]) == (by_line, 1.0 if by_line else -1.0)
    assert bool(theirs["acc"]) == by_verl
    right, pred = math_dapo.is_correct_minerva(response[-300:], "34")
    assert (found["acc"], found["pred"]) == (right, pred)
    if by_line == by_verl and "boxed" not in name:
        assert found == theirs


words = st.sampled_from(["Answer:", "answer :", "\n", " ", "34", "$34$", "x", "1,000", "=", "\\frac12", "thus " * 30])


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(words, max_size=30).map("".join), st.sampled_from(["34", "1000", "\\frac{1}{2}"]))
def test_without_a_box_it_is_verls_own_verifier(response: str, truth: str) -> None:
    assert compute_score("math_dapo", response, truth) == default_compute_score("math_dapo", response, truth)


@pytest.mark.parametrize(("source", "response"), [("openai/gsm8k", "#### 34"), ("lighteval/MATH", r"\boxed{34}")])
def test_other_sources_go_to_their_own_verifiers(source: str, response: str) -> None:
    assert compute_score(source, response, "34") == default_compute_score(source, response, "34") == 1.0


@pytest.mark.parametrize("source", ["math_dapo", "math", "math_dapo_reasoning", "aime24", "aimes"])
def test_the_sources_are_those_that_verl_sends_to_math_dapo(source: str) -> None:
    assert default_compute_score(source, r"\boxed{34}", "34")["acc"]
    assert not cast("dict[str, object]", compute_score(source, r"\boxed{34}", "34"))["acc"]


@pytest.mark.slow
@pytest.mark.parametrize(("verifier", "counts"), [("answer", False), ("answer_or_boxed", True)])
def test_verl_loads_the_chosen_verifier_for_its_reward_manager(verifier: str, *, counts: bool) -> None:
    """Training and validation score by one manager (verl/experimental/reward_loop/reward_manager/dapo.py)."""
    overrides = verl_overrides(verl_mapping(f"verifier={verifier}"))
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    score = get_custom_reward_fn(config) or default_compute_score
    given_by_dapo = {"data_source": "aime24", "solution_str": r"\boxed{34}", "ground_truth": "34", "extra_info": {}}
    assert not asyncio.iscoroutinefunction(score)
    assert bool(score(**given_by_dapo)["acc"]) is counts
