"""Hydra's override grammar as a search space: values are the grammar's own, and go back into it."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from qae.errors import ConfigError
from sweeps.search import space
from sweeps.search.space import Parameter

PARSER = OverridesParser.create()
some = settings(max_examples=25, deadline=None)  # the grammar's parser takes milliseconds
WORDS = st.text(st.sampled_from("abcxyz01'\" ,=\\:"), max_size=6)
SCALARS = st.one_of(st.integers(-99, 99), st.sampled_from([0.5, -1.0, 1e-5, 0.1]), st.booleans(), st.none())


def parameter(text: str) -> Parameter:
    return space.parameter(PARSER.parse_override(text))


def quoted(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if value in (None, True, False)
        else str(value)
    )


def set_values(one: Parameter) -> list[object]:
    """What the overrides of all its values set, as Hydra reads them back."""
    assert one.values is not None
    return [PARSER.parse_override(one.override(value)).value() for value in one.values]


def swept(text: str) -> list[object]:
    """The values of an ordinary sweep over the same words."""
    (jobs,) = BasicSweeper.split_arguments([PARSER.parse_override(text)], max_batch_size=None)
    return [PARSER.parse_override(job).value() for (job,) in jobs]


@some
@given(st.lists(st.one_of(SCALARS, WORDS), min_size=2, max_size=5))
def test_a_choice_has_the_values_of_an_ordinary_sweep(values: list[object]) -> None:
    text = f"a.b={','.join(map(quoted, values))}"
    expected = swept(text)
    found = set_values(parameter(text))
    assert found == [value for place, value in enumerate(expected) if not _seen(value, expected[:place])]


def _seen(value: object, before: list[object]) -> bool:
    return any(value == other and type(value) is type(other) for other in before)


@some
@given(st.integers(-50, 50), st.integers(1, 40), st.sampled_from([1, 2, 3, 7, -1, -3]))
def test_a_range_of_whole_numbers_has_the_values_of_an_ordinary_sweep(start: int, length: int, step: int) -> None:
    stop = start + length if step > 0 else start - length
    one = parameter(f"a=range({start},{stop},{step})")
    assert sorted(set_values(one)) == sorted(range(start, stop, step))  # type: ignore[type-var]


@some
@given(st.integers(-20, 20), st.integers(1, 30), st.sampled_from(["0.1", "0.05", "0.25", "2.5"]))
def test_a_range_of_decimals_has_no_dust(start: int, count: int, step: str) -> None:
    low = start * float(step)
    one = parameter(f"a=range({low:.6g},{low + (count - 0.5) * float(step):.6g},{step})")
    texts = [one.override(value).partition("=")[2] for value in one.values or ()]
    assert texts == [str(float(f"{(start + i) * float(step):.6g}")) for i in range(count)]
    assert all(len(text) <= 8 for text in texts)


@some
@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3))
def test_an_interval_keeps_its_ends_and_scale(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if low == high:
        return
    for text, log in ((f"a=interval({low!r},{high!r})", False), (f"a=tag(log,interval({low!r},{high!r}))", True)):
        assert parameter(text).distribution == FloatDistribution(low, high, log=log)


@pytest.mark.parametrize("text", ["a=int(interval(1,4))", "a=tag(int,interval(1,4))"])
def test_whole_numbers_of_an_interval(text: str) -> None:
    assert parameter(text).distribution == IntDistribution(1, 4)
    assert parameter("a=tag(log,int,interval(1,64))").distribution == IntDistribution(1, 64, log=True)


def test_the_prefix_of_the_key_stays() -> None:
    assert parameter("++algorithm.quantile_k=0.2,0.4").override("0.2") == "++algorithm.quantile_k=0.2"
    assert parameter("++algorithm.quantile_k=0.2,0.4").name == "algorithm.quantile_k"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("regularizer=glob(*)", "list the values with choice"),
        ("a=tag(loog,interval(0,1))", "the tag loog is not known; use log or int"),
        ("a=tag(log,interval(0,1))", "both ends must be above 0"),
        ("a=tag(int,interval(0.5,3))", "both ends must be whole numbers"),
        ("a=interval(1,1)", "the first end must be below the second"),
        ("a=range(3,3)", "the range is empty"),
        ("a=range(0.1,inf,0.1)", "finite numbers"),
        ("a=range(0,1,0)", "other than 0"),
        ("a=interval(0,inf)", "both ends must be finite"),
        ("a=0.1,range(0.2,0.4,0.1)", "stands alone"),
        ("a=tag(log,range(1,9))", "a range has steps of its own"),
        ("a=tag(log,choice(1,9))", "not for a list of values"),
        ("tracking=wandb,none", "it changes no number of a run"),
        ("trainer.save_freq=1,2", "it changes no number of a run"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_sentence(text: str, fix: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used") as refusal:
        parameter(text)
    assert fix in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_seeds_judge_and_are_not_searched() -> None:
    typed = PARSER.parse_overrides(["a=1,2", "seed=11,12,11"])
    assert [one.name for one in space.read(typed)] == ["a"]
    assert space.seeds(typed, 0) == (11, 12)
    assert space.seeds(PARSER.parse_overrides(["seed=range(3)"]), 0) == (0, 1, 2)
    assert space.seeds([], 7) == (7,)
    for text in ("seed=interval(0,3)", "seed=0.5,1.5"):
        with pytest.raises(ConfigError, match="seed=0,1,2"):
            space.seeds(PARSER.parse_overrides([text]), 0)
    with pytest.raises(ConfigError, match="name what to search"):
        space.read(PARSER.parse_overrides(["seed=0,1"]))
