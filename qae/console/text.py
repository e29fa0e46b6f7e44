"""Text of users and of foreign configurations, made fit for each place that shows or keeps it.

The name of an arm, a label, a token or a reason can hold anything: markup, line ends, escape sequences of a terminal, a
chat template of thousands of characters. What identifies a run or an arm stays as it is, in JSON and CSV too; whatever
is shown goes through one of these functions. `literal` has rich's part, `qae.tracking.wandb_limits` W&B's. Matplotlib
needs `one_line` or `brief` only: the house style of the figures reads no text as mathematics.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

NAME_LETTERS = 120
# A file's name may have 255 bytes; endings and the names of temporary files need some of them.
FILE_NAME_BYTES = 200
_LINE_END, _TAB = "⏎", "⇥"
_STAND_INS = {"\n": _LINE_END, "\t": _TAB}
# Joiners make one letter or picture of several.
_HARMLESS = "\u200c\u200d"
_HASH_LETTERS = 8
_CODE = re.compile(r"(`[^`]+`)")
# Backslash, backtick, the sign of mathematics and of strikethrough always; others only where they could mean something.
_MARKS = re.compile(
    r"""(?P<always>[\\`$~|])
    | (?P<star>(?<=\S)\*|\*(?=\S))
    | (?P<rule>(?<![^\W_])_|_(?![^\W_]))
    | (?P<link>\](?=[(\[:]))
    | (?P<emoji>:(?=[\w+-]+:))
    | (?P<entity>&(?=\#?\w+;))
    | (?P<tag><(?=[A-Za-z/!?]))""",
    re.VERBOSE,
)
_BLOCK = re.compile(r"\A(?P<number>\d{1,9}(?=[.)])|)(?P<mark>[.)#+*=>-])")
_ENTITIES = {"&": "&amp;", "<": "&lt;"}


def one_line(text: object) -> str:
    r"""The text on one line with nothing hidden in it.

    A line end is ⏎, a tab ⇥; what else does not print (escape sequences, marks that turn the direction of writing,
    halves of characters) is written as Python writes it: ``\x1b``, ``\u202e``.
    """
    return "".join(letter if _prints(letter) else _visible(letter) for letter in str(text))


def paragraph(text: object) -> str:
    """The text with nothing hidden in it, its lines kept."""
    return "\n".join(one_line(line) for line in str(text).split("\n"))


def brief(text: object, most: int = NAME_LETTERS) -> str:
    """The text on one line, as `one_line` does, and no longer than `most` characters.

    Different texts stay different: what is cut out, or cannot be told from text that looks like it, is named by a
    hash of the whole.
    """
    whole, shown = str(text), one_line(text)
    name = f"#{hashlib.sha256(encodable(whole).encode()).hexdigest()[:_HASH_LETTERS]}"
    if len(shown) <= most:
        if not _is_ambiguous(whole):
            return shown
        if len(shown) + 1 + len(name) <= most:
            return f"{shown} {name}"
    left = max(0, most - len(name) - 2)
    tail = left // 3
    return f"{shown[: left - tail]}…{name}…{shown[len(shown) - tail :]}"


def _is_ambiguous(text: str) -> bool:
    """Whether the text as it is shown looks like another one: by stand-ins, by blanks, by letters without a width."""
    if text != text.strip(" ") or "  " in text:
        return True
    like_others = (_LINE_END, _TAB, *_HARMLESS)
    return any(
        letter in like_others or (letter != " " and not letter.isprintable() and letter not in _STAND_INS)
        for letter in text
    )


def encodable(text: str) -> str:
    """The text as it is; a half of a character, which no file takes, as Python writes it."""
    return text.encode(errors="backslashreplace").decode()


def markdown(text: object) -> str:
    """The text on one line as Markdown that shows it as it is: in a table's cell, or inside a sentence."""
    return _MARKS.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), one_line(text))


def markdown_sentence(text: object) -> str:
    """A sentence of ours that may hold foreign words, as a paragraph: code between backticks stays code."""
    parts = _CODE.split(one_line(text).strip())
    shown = "".join(part if index % 2 else markdown(part) for index, part in enumerate(parts))
    # What would begin a heading, a list or a quotation is text.
    return _BLOCK.sub(r"\g<number>\\\g<mark>", shown, count=1)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int | None = None) -> str:
    """A Markdown table of cells that are text; its first `text_columns` columns (default: all) are no numbers."""
    words = len(head) if text_columns is None else text_columns
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    lines = [[_cell(cell) for cell in head], rule, *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Markdown(str):
    """Text that is Markdown already, as a table's cell."""

    __slots__ = ()


def is_file_name(text: str) -> bool:
    """Whether the text can name a file on any file system, as it is, and no option of a command looks like it."""
    return (
        text.isprintable()
        and text == text.strip()
        and text[:1] not in ("", ".", "-")
        and "/" not in text
        and len(text.encode()) <= FILE_NAME_BYTES
    )


def file_name(text: str, otherwise: str) -> str:
    """A file's name made of the text's letters, digits, dots and dashes; `otherwise` where it has none.

    A longer one than files can have ends with a hash of the whole.
    """
    words = [word for word in re.findall(r"[\w.-]+", text) if word.strip(".")]
    name = "-".join(words).lstrip(".-") or otherwise
    if len(name.encode()) <= FILE_NAME_BYTES:
        return name
    hashed = hashlib.sha256(encodable(text).encode()).hexdigest()[:_HASH_LETTERS]
    return f"{name.encode()[: FILE_NAME_BYTES - _HASH_LETTERS - 1].decode(errors='ignore')}-{hashed}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as text in columns, one line per row whatever its length: easy to search, and quick for thousands."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _prints(letter: str) -> bool:
    return letter.isprintable() or letter in _HARMLESS or unicodedata.category(letter) == "Zs"


def _visible(letter: str) -> str:
    return _STAND_INS.get(letter) or letter.encode("unicode_escape").decode()


def _cell(text: str) -> str:
    return text if isinstance(text, Markdown) else markdown(text)
