"""Configurations of any kind as dotted keys and values that can be compared."""

import math
from collections.abc import Mapping
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.runs.configuration import comparable, flatten

_KEYS = st.one_of(st.text(max_size=4), st.none(), st.integers(0, 3), st.booleans())
_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.dates(), st.binary(max_size=2)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3), st.tuples(inner), st.sets(st.integers())
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_whatever_is_in_a_configuration_can_be_grouped_and_is_like_itself(config: Mapping[object, object]) -> None:
    first, second = flatten(config), flatten(config)
    assert {tuple(map(comparable, first.values()))} == {tuple(map(comparable, second.values()))}
    assert all(isinstance(key, str) for key in first)
    assert not any(isinstance(value, Mapping | list) for value in first.values())


def test_mappings_in_lists_are_opened_and_other_lists_kept() -> None:
    flat = flatten({"layers": [{"type": "attn", "heads": [1, 2]}, {}], "betas": [0.9, [1]], "empty": {}, "none": []})
    assert flat == {
        "layers.0.type": "attn",
        "layers.0.heads": (1, 2),
        "layers.1": "{}",
        "betas": (0.9, (1,)),
        "none": (),
    }


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (0.0, -0.0, True),
        (math.nan, float("nan"), True),
        ([math.nan], [float("nan")], True),
        ([1, True], [1, 1], False),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}, True),
        ({1, 2}, {2, 1}, True),
        (np.array([1.5, 2.0]), [1.5, 2.0], True),
        (np.float32(0.5), 0.5, True),
        (date(2026, 1, 1), date(2026, 1, 1), True),
        (1, "1", False),
        (None, 0, False),
    ],
)
def test_values_are_alike_where_they_set_the_same(one: object, other: object, *, same: bool) -> None:
    sides = [{key: comparable(value) for key, value in flatten({"key": value}).items()} for value in (one, other)]
    assert ({tuple(sorted(sides[0].items()))} == {tuple(sorted(sides[1].items()))}) is same


def test_a_key_that_is_written_twice_keeps_both_values() -> None:
    assert flatten({"a.b": 1, "a": {"b": 2}})["a.b"] == (1, 2)
    assert flatten({"a.b": math.nan, "a": {"b": math.nan}})["a.b"] is not None
    assert flatten({"a.b": 1, "a": {"b": 1}}) == {"a.b": 1}


def test_what_holds_itself_ends() -> None:
    endless: dict[str, object] = {"x": 1}
    endless["again"] = endless
    endless["list"] = [endless, [endless]]
    assert flatten({"a": endless})["a.x"] == 1


def test_a_key_with_slashes_is_a_dotted_one() -> None:
    assert flatten({"algorithm/quantile_k": 0.4, "data": {"a/b": 1}}) == {"algorithm.quantile_k": 0.4, "data.a.b": 1}
