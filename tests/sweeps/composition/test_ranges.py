"""Ranges are the numbers that a user would write, in whatever way the grammar makes them."""

from decimal import Decimal

import pytest
from hydra.core.override_parser.types import Override  # noqa: TC002
from hypothesis import given
from hypothesis import strategies as st

from qae.errors import ConfigError
from sweeps.composition.ranges import listed, parser
from sweeps.run_store.identity import run_id
from tests.support.configs import embedded_mapping

PARSER = parser()
decimals = st.decimals("-100", "100", allow_nan=False, places=3) | st.decimals("-0.001", "0.001", places=9)
steps = st.sampled_from(["0.1", "0.05", "0.25", "1e-6", "2.5e-4", "3", "0.3", "1e-9"]).map(Decimal)


def values(text: str) -> list[str]:
    (override,) = listed(PARSER.parse_overrides([f"key={text}"]))
    return list(override.sweep_string_iterator())


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("range(0.1,0.5,0.1)", "0.1 0.2 0.3 0.4"),
        ("range(0.7,1.0,0.1)", "0.7 0.8 0.9"),  # binary fractions reach 1.0
        ("range(0.5,0.1,-0.1)", "0.5 0.4 0.3 0.2"),
        ("range(1e-6,5e-6,1e-6)", "1e-06 2e-06 3e-06 4e-06"),
        ("range(0.1, 0.4, step=0.1)", "0.1 0.2 0.3"),
        ("range(stop=1,start=0,step=0.25)", "0.0 0.25 0.5 0.75"),
        ("range(3)", "0 1 2"),
        ("range(0.4)", "0.0"),
        ("int(range(0.5,3.5,1))", "0 1 2"),
        ("float(range(1,4))", "1.0 2.0 3.0"),
        ("sort(range(0.5,0.1,-0.1))", "0.2 0.3 0.4 0.5"),
        ("sort(range(0.1,0.8,0.3))", "0.1 0.4 0.7"),
        ("sort(range(0.1,0.8,0.1),reverse=true)", "0.7 0.6 0.5 0.4 0.3 0.2 0.1"),
        ("sort(range(0,10,3),reverse=true)", "9 6 3 0"),
        ("sort(shuffle(range(0.1,0.4,0.1)))", "0.1 0.2 0.3"),
        ("sort(0.3,0.1)", "0.1 0.3"),
    ],
)
def test_a_range_has_clean_numbers(text: str, numbers: str) -> None:
    assert values(text) == numbers.split()


def test_a_shuffled_range_has_the_same_numbers() -> None:
    assert sorted(values("shuffle(range(0.1,0.5,0.1))")) == ["0.1", "0.2", "0.3", "0.4"]


@pytest.mark.slow
@given(decimals, steps, st.integers(1, 40), st.booleans())
def test_every_number_is_the_one_that_the_user_would_write(
    start: Decimal, step: Decimal, count: int, falling: bool
) -> None:
    by = -step if falling else step
    stop = start + (count - 1) * by + by / 2
    written = [float(start + i * by) for i in range(count)]
    found = [float(one) for one in values(f"range({start},{stop},{by})")]
    assert found == written
    assert [float(one) for one in values(f"sort(range({start},{stop},{by}),reverse=true)")] == sorted(
        written, reverse=True
    )


@pytest.mark.slow
def test_the_numbers_of_a_range_have_the_ids_of_the_written_ones() -> None:
    for ranged, written in zip(values("range(0.1,0.95,0.05)"), range(10, 95, 5), strict=True):
        assert run_id(embedded_mapping(f"algorithm.quantile_k={ranged}")) == run_id(
            embedded_mapping(f"algorithm.quantile_k={written / 100}")
        )


@pytest.mark.parametrize(
    "text",
    [
        "range(0,inf,1)", "range(0,1,0)", "range(0.0,1.0,0.0)", "range(1,0)", "range(0.1,0.1)", "range(0,1,nan)",
        "range(0,1,1e-9)", "range(0.5,0.1,0.1)", "0.1,range(0.2,0.5,0.1)", "[range(0.1,0.3,0.1)]", "{a:range(1,3)}",
        "glob(nothing*)",
    ],
)  # fmt: skip
def test_what_cannot_be_counted_out_is_refused_by_name(text: str) -> None:
    (override,) = PARSER.parse_overrides([f"key={text}"])
    override.config_loader = _NoOptions()  # type: ignore[assignment]  # what Hydra gives the parser
    with pytest.raises(ConfigError) as refused:
        listed([override])
    assert (refused.value.key, refused.value.value) == ("key", text)


class _NoOptions:
    def get_group_options(self, *_: object, **__: object) -> list[str]:
        return []


@pytest.mark.slow
@given(st.lists(st.sampled_from(["a=1", "b=1,2", "+c=x", "~d", "e=[1,2]", "f='range(1,2)'"])))
def test_what_is_no_range_stays(words: list[str]) -> None:
    typed: list[Override] = PARSER.parse_overrides(words)
    assert listed(typed) == typed
