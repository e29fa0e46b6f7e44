"""Dotted keys of nested sections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.nested import keys, leaves, value_of

NAMES = st.text("abc", min_size=1, max_size=2)
SECTIONS = st.dictionaries(
    NAMES,
    st.recursive(
        st.integers() | st.none() | st.lists(st.integers()), lambda inner: st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_size=4,
)


@pytest.mark.slow
@given(SECTIONS)
def test_each_leaf_is_found_by_its_key_and_keys_are_all_that_is_found(config: dict[str, object]) -> None:
    found = dict(leaves(config))
    for key, value in found.items():
        assert value_of(config, key) is value
        assert not isinstance(value, dict) or not value
    every = list(keys(config))
    assert len(every) == len(set(every))
    assert set(found) <= set(every)
    assert {key for key in every if isinstance(value_of(config, key), dict) and value_of(config, key)} == set(
        every
    ) - set(found)


def test_what_is_not_there_is_none() -> None:
    config = {"trainer": {"steps": 3}}
    assert value_of(config, "trainer.steps") == 3
    for key in ("trainer.steps.more", "trainer.none", "other", "trainer."):
        assert value_of(config, key) is None
