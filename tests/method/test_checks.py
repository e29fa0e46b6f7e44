"""Checks of configured values: what passes comes back as it is, all else is one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.checks import boolean, is_number, is_whole, member, whole_number, whole_number_or_null
from qae.config import QuantileOn
from qae.errors import ConfigError

OTHERS = st.one_of(st.text(), st.none(), st.lists(st.integers()))


@given(st.booleans())
def test_true_and_false_are_booleans_and_no_numbers(value: bool) -> None:
    assert boolean("a.b", value) is value
    assert not is_whole(value)
    assert not is_number(value)
    with pytest.raises(ConfigError, match=f"^a.b={value} cannot be used: give a whole number of at least 0$"):
        whole_number("a.b", value, 0)


@given(st.integers(), st.integers())
def test_a_whole_number_is_one_from_the_least_upwards(value: int, least: int) -> None:
    assert is_whole(value)
    assert is_number(value)
    if value >= least:
        assert whole_number("a", value, least) == whole_number_or_null("a", value, least) == value
        return
    with pytest.raises(ConfigError, match=f"give a whole number of at least {least}$"):
        whole_number("a", value, least)
    with pytest.raises(ConfigError, match=f"give a whole number of at least {least}, or null for none$"):
        whole_number_or_null("a", value, least, " for none")


@given(st.floats())
def test_a_float_is_a_number_and_not_a_whole_one(value: float) -> None:
    assert is_number(value)
    assert not is_whole(value)
    with pytest.raises(ConfigError, match="whole number"):
        whole_number("a", value, -(10**9))


@given(OTHERS)
def test_what_is_neither_is_refused(value: object) -> None:
    assert not is_number(value)
    for check in (boolean, lambda key, given: whole_number(key, given, 0)):
        with pytest.raises(ConfigError, match=r"^a=.* cannot be used: give "):
            check("a", value)


def test_null_passes_only_where_it_may() -> None:
    assert whole_number_or_null("a", None, 1) is None
    with pytest.raises(ConfigError, match="a=None cannot be used"):
        whole_number("a", None, 1)


@pytest.mark.parametrize("value", [*QuantileOn, *map(str, QuantileOn)])
def test_a_member_is_found_by_its_name(value: str) -> None:
    assert member(QuantileOn, "a", value) is QuantileOn(value)


@pytest.mark.parametrize("value", ["scores", "", None, True, 0, [], {}])
def test_what_is_no_member_is_told_the_members(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^a=.* cannot be used: choose one of score, accuracy$"):
        member(QuantileOn, "a", value)
