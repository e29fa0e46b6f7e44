"""Foreign text made fit for terminals, tables, Markdown and file names: what is read back is what was given."""

import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from qae.console import text
from qae.console.literal import LiteralTable, literal, say

NASTY = (
    "[INST] q [/INST]", "[/x]", "[red]", ":smile:", "a|b", "a\\|b", "`x`", "``", "*x* **y**", "_x_", "# x",
    "<script>x</script>", "[a](http://b)", "$x^2$", "$", "&amp;", "~~x~~", "- x", "1. x", "> x", "a\nb", "a\r\nb",
    "\x1b[31mred", "\u202ex", "\ud800", "\x00", "a\tb", "日本語", "\U0001f469\u200d\U0001f467", "é" * 300, "x" * 5000,
    "", " ", "\\", "a\\", "C:\\new", "..", "-rf", "/etc/passwd", "{{ x }}", "!pip", "%s", "\u2028", "\x85", "⏎", "⇥",
    "|---|", "https://a.b/c", "<a@b.cd>",
)  # fmt: skip
# Texts that hold markup more often than random ones do.
TEXTS = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(codec=None), max_size=60),
    st.text("[]()|`*_#<>&$~\\!:/ ab\n\t\x1b", max_size=30),
)


def is_plain(shown: str) -> bool:
    return all(letter.isprintable() or letter in "\u200c\u200d\xa0" or letter.isspace() for letter in shown)


@given(TEXTS)
def test_nothing_on_a_line_is_hidden_or_ends_it(given_text: str) -> None:
    shown = text.one_line(given_text)
    assert len(shown.splitlines()) <= 1
    assert is_plain(shown)
    shown.encode()
    assert text.one_line(shown) == shown
    if given_text.isprintable():
        assert shown == given_text


@given(TEXTS, TEXTS, st.integers(20, 200))
def test_a_short_form_is_short_and_different_texts_stay_different(one: str, other: str, most: int) -> None:
    assert len(text.brief(one, most)) <= most
    assert (text.brief(one, most) == text.brief(other, most)) is (one == other)
    if one.isprintable() and len(one) <= most and not {"⏎", "⇥"} & set(one) and one == " ".join(one.split()):
        assert text.brief(one, most) == one


def test_texts_that_differ_in_one_letter_of_thousands_or_in_what_looks_alike_stay_different() -> None:
    long = "x" * 5000
    alike = [long, f"{long[:2500]}y{long[2501:]}", "a\nb", "a⏎b", "a\\x1b", "a\x1b", "a\\nb"]
    assert len({text.brief(one) for one in alike}) == len(alike)
    assert "…" in text.brief(long)


def rendered_cells(markdown: str) -> list[list[str]]:
    """Cells of a table as a reader sees them, by a parser of CommonMark with tables."""
    rows: list[list[str]] = []
    for token in MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(markdown):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append("".join(child.content for child in token.children or []))
            assert {child.type for child in token.children or []} <= {"text", "text_special"}, token
    return rows


def test_blanks_and_letters_without_a_width_tell_texts_apart() -> None:
    for alike in (("", " ", "  "), ("a", "a ", " a"), ("a b", "a  b", "a\u00a0b"), ("ab", "a\u200db")):
        shown = [" ".join(text.brief(one).split()) for one in alike]
        assert len(set(shown)) == len(alike)
    assert text.brief("a b") == "a b"


@pytest.mark.slow
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_a_markdown_table_has_its_columns_and_shows_the_text(rows: list[tuple[str, str]]) -> None:
    head, *shown = rendered_cells(text.markdown_table(("name", "[a|b]"), rows))
    assert head == ["name", "[a|b]"]
    assert shown == [[text.one_line(cell).strip() for cell in row] for row in rows]


@example("__0__")
@given(TEXTS)
def test_a_sentence_with_foreign_words_is_one_paragraph(given_text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text.markdown_sentence(given_text))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    for token in tokens:
        assert {child.type for child in token.children or []} <= {"text", "text_special", "code_inline"}


def test_numbers_and_our_own_words_need_no_escapes() -> None:
    cells = ("mean, clip_symmetric", "-0.13 [-0.33, 0.02] *", "< .001", "t = 2.5 & K = 0.4")
    assert text.markdown_table(("a", "b", "c", "d"), [cells]).splitlines()[-1] == f"| {' | '.join(cells)} |"
    assert text.markdown_sentence("`qae table` shows them") == "`qae table` shows them"


@given(TEXTS)
def test_a_file_name_can_be_one(given_text: str) -> None:
    name = text.file_name(given_text, "report")
    assert text.is_file_name(name)
    assert re.fullmatch(r"[\w.-]+", name)


def test_what_no_file_can_be_called_is_known() -> None:
    for name in ("", ".", "..", ".x", "-x", "a/b", " a", "a ", "a\nb", "a\0b", "é" * 101, "\ud800"):
        assert not text.is_file_name(name), name
    for name in ("a", "two words", "日本語", "😀", "a.b", "é" * 100, "[x]"):
        assert text.is_file_name(name), name
    long = [text.file_name("x" * 300 + end, "report") for end in "ab"]
    assert long[0] != long[1]


def printed(*things: object, width: int = 20_000) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system="truecolor")
    for thing in things:
        console.print(thing)
    return file.getvalue()


@pytest.mark.slow
@given(TEXTS)
def test_rich_shows_the_text_as_it_is(given_text: str) -> None:
    table = LiteralTable(title=given_text)
    table.add_column(given_text)
    table.add_row(given_text)
    shown = re.sub(r"\x1b\[[\d;]*m", "", printed(table, literal(given_text)))
    assert is_plain(shown)
    for line in text.paragraph(given_text).split("\n"):
        assert shown.count(line.strip()) >= 4


@given(TEXTS)
def test_a_sentence_in_a_file_stays_on_its_lines(given_text: str) -> None:
    file = io.StringIO()
    say(Console(file=file, width=20), given_text)
    assert file.getvalue() == text.paragraph(given_text) + "\n"


def test_columns_are_as_wide_as_letters_are() -> None:
    lines = text.aligned([("日本", "x"), ("a\nb", "y")])
    assert [cell_len(line) for line in lines] == [7, 7]
