"""Numbers and lines of JSON as other programs write them."""

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.files.json_lines import loads, parse, read_jsonl
from qae.files.numbers import number, spelled, step, unspelled
from qae.run_directory import JsonlWriter, RunDirectory, RunState, RunStatus, read_metrics

floats = st.floats(allow_nan=True, allow_infinity=True)


def same(first: object, second: object) -> bool:
    return first == second or (str(first), str(second)) == ("nan", "nan")


@given(floats)
def test_a_number_is_itself_in_whatever_form_a_program_writes_it(value: float) -> None:
    scalars = (np.float64(value), Decimal(repr(value)))
    forms = [value, str(value), f"  {value} ", repr(scalars[0]), repr(scalars[1]), str(scalars[0]), f"tensor({value})"]
    for form in forms:
        found = number(form)
        assert found is not None
        assert same(found, value), form


@pytest.mark.parametrize(("text", "value"), [("True", 1), ("False", 0), ("true", 1), (True, 1), ("1e-6", 1e-6), (7, 7)])
def test_truths_and_powers_are_numbers(text: object, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "value", ["0,4", "1,000", "40 %", "high", "", None, [0.4], {"a": 1}, "array([1, 2])", "f(g(1))"]
)
def test_what_is_no_number_is_none(value: object) -> None:
    assert number(value) is None


@pytest.mark.parametrize("value", [5, 5.0, "5", "5.0", " 5 ", np.int64(5).item(), "np.int64(5)"])
def test_a_step_is_whole_in_any_form(value: object) -> None:
    assert step(value) == 5


@pytest.mark.parametrize("value", [5.5, math.nan, math.inf, -1, 2**70, True, "True", "", None, "5.5", [5], 10**400])
def test_what_is_no_step_is_none(value: object) -> None:
    assert step(value) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(allow_nan=False), json_values), max_size=8), st.booleans())
def test_no_line_of_pythons_json_is_lost_for_a_value_that_nobody_looks_at(
    rows: list[tuple[float, Any]], plain: bool
) -> None:
    records = [{"looked at": value, "other": other} for value, other in rows]
    lines = [json.dumps(record, ensure_ascii=not plain, default=str) for record in records]
    found = parse("\n".join(lines).encode("utf-8", "surrogatepass"))
    assert found.damaged == 0
    assert [record["looked at"] for record in found.records] == [value for value, _ in rows]


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n',
        b'{"a": 1}\r\n{"a": 2}\r\n',
        '{"a": 1}\n{"a": 2}\n'.encode("utf-16"),
        b'{"a": 1, "text": "\xff\xfe"}\n{"a": 2}',
        b'{"a": 1, "big": ' + b"9" * 5000 + b'}\n\n{"a": 2}',
        b'{"a": 0, "a": 1}\n{"a": 2, "other": 1e999}',
    ],
)
def test_marks_ends_bytes_and_digits_cost_no_line(content: bytes) -> None:
    found = parse(content)
    assert ([record["a"] for record in found.records], found.damaged) == ([1, 2], 0)


def test_what_is_torn_or_too_deep_is_counted_with_its_bytes() -> None:
    bad = [b'{"a": 1,', b'{"a": 1},', b"\0" * 7, b"[1]", b'{"a":' * 100_000]
    found = parse(b"\n".join([b'{"a": 1}', *bad]))
    assert (len(found.records), found.damaged, found.damaged_bytes) == (1, len(bad), sum(map(len, bad)))
    with pytest.raises(ValueError, match="deep"):
        loads(b'{"a":' * 100_000)
    assert read_jsonl(Path("nowhere.jsonl")).records == []


@given(floats)
def test_nan_and_infinity_survive_json(value: float) -> None:
    assert same(unspelled(orjson.loads(orjson.dumps(spelled({"x": [value]})))["x"][0]), value)


def test_a_run_directory_keeps_what_json_lacks(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with JsonlWriter(directory.metrics) as lines:
        lines.append({"step": 1, "a": math.inf, "b": -math.inf, "c": math.nan, "d": 1.5})
    (line,) = read_metrics(directory).records
    assert (line["a"], line["b"], line["d"]) == (math.inf, -math.inf, 1.5)
    assert isinstance(line["c"], float)
    assert math.isnan(line["c"])
    directory.write_state(RunState(RunStatus.RUNNING, latest={"a": math.inf}))
    assert directory.read_state().latest == {"a": math.inf}


def test_steps_of_metric_lines_may_be_floats_or_text(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.metrics.write_text('{"step": "1", "a": NaN}\n{"step": 2.0, "a": 1}\n{"step": 1.5, "a": 3}\n')
    assert [line["step"] for line in read_metrics(directory).records] == [1, 2]
