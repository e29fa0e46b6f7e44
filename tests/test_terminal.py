"""Tables on terminals of any width: a number that is shown is shown whole, and what is not shown is named."""

import io
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table

from analysis import comparison, table
from analysis.advice import advise
from analysis.guard import tables as guard_tables
from qae.console import terminal, text
from sweeps.commands import status

NUMBER = st.floats(0, 10_000, allow_nan=False).map(lambda value: f"{value:.3f}")
INTERVAL = st.tuples(NUMBER, NUMBER, NUMBER).map(lambda one: f"{one[0]}\n[{one[1]}, {one[2]}]")
WORDS = st.text(st.sampled_from("abcdefgh =,."), max_size=40).map(str.strip)
BOXES = st.sampled_from([box.SIMPLE_HEAD, box.HEAVY_HEAD, box.ASCII, None])


def made(headers: Sequence[str], rows: Sequence[Sequence[str]], frame: box.Box | None) -> Table:
    found = Table(title="Title", box=frame)
    for index, header in enumerate(headers):
        found.add_column(header, justify="right" if index else "left", overflow="fold")
    for row in rows:
        found.add_row(*row)
    return found


def printed(found: Table, room: int) -> str:
    file = io.StringIO()
    Console(file=file, width=room).print(found)
    return file.getvalue()


@pytest.mark.slow
@given(st.lists(st.tuples(WORDS, NUMBER, INTERVAL, NUMBER), min_size=1, max_size=5), st.integers(1, 160), BOXES)
def test_numbers_never_fold(rows: list[tuple[str, str, str, str]], room: int, frame: box.Box | None) -> None:
    headers = ("arm", "entropy", "pass@1", "length")
    text = printed(terminal.fitted(made(headers, rows, frame), room, ("length", "entropy"), "--csv has them"), room)
    flat = " ".join(text.split())
    assert all(len(line) <= room for line in text.splitlines())
    missing = re.search(r"No room for: (.*?)\. --csv", flat)
    left_out = re.findall(r"[a-z@1]+", missing[1]) if missing else []
    if room >= 24:  # below that the sentence itself is folded inside its words
        for column, header in enumerate(headers[1:], 1):
            shown = {part for row in rows for part in row[column].split("\n")}
            if header in left_out:
                assert header == "length" or "length" in left_out, "the least important column goes first"
            else:
                assert all(part in text for part in shown)


def test_what_has_room_is_left_as_it_is() -> None:
    found = terminal.fitted(made(("arm", "pass@1"), [("mean", "0.5")], box.ASCII), 80, (), "--csv")
    assert "No room" not in printed(found, 80)


def test_orders_name_columns_that_are_there() -> None:
    assert set(table.LEAST) == set(table.COLUMNS[1:])
    assert set(comparison.LEAST) == set(comparison.COLUMNS[1:])
    assert set(advise.LEAST) == set(advise.COLUMNS[1:])
    assert set(guard_tables.LEAST) <= set(guard_tables.HEADER)
    assert set(status._LEAST) <= set(status.HEADER)


@pytest.mark.slow
@given(st.lists(st.tuples(WORDS, NUMBER, WORDS), min_size=1, max_size=5), st.integers(1, 90))
def test_lines_have_whole_columns_and_cut_words(rows: list[tuple[str, str, str]], room: int) -> None:
    header = ("run", "step", "reason")
    lines, missing = terminal.aligned_within([header, *rows], room, ("step",), "--json has them")
    assert all(len(line) <= room for line in lines)
    whole, nothing = terminal.aligned_within([header, *rows], None, ("step",), "--json has them")
    assert whole == text.aligned([header, *rows])
    assert nothing is None
    if missing is None:
        assert lines == whole
    else:
        assert "--json" in missing


@pytest.mark.parametrize(("columns", "expected"), [("40", 40), ("0", None), ("-1", None), ("wide", None), ("", None)])
def test_columns_count_where_they_are_a_width(
    columns: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal.width(io.StringIO()) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"NO_COLOR": "1"}, True),
        ({"NO_COLOR": ""}, False),
        ({"CLICOLOR": "0"}, True),
        ({"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, False),
        ({"CLICOLOR": "0", "FORCE_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colours_as_the_user_wants(variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.no_colour() is expected


def test_forced_colours_paint_over_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not terminal.is_terminal(io.StringIO())
