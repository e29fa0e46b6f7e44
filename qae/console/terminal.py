"""What a terminal has room for: numbers are never folded, the least important columns are left out and named.

Into a file or a pipe rows are whole, unless COLUMNS says how wide they may be.
"""

import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from qae.console.text import aligned, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

_WIDE = 10_000  # of what is no terminal
_LEAST_WORDS = 16  # width to which a column of words is narrowed before others are left out
_CUT = "…"
_CUT_OFF = "ellipsis"  # the overflow of a column of words that stay on one line


def is_terminal(stream: IO[str]) -> bool:
    """Whether somebody looks at a stream on a terminal that can be painted over; colours may be forced, this not."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def width(stream: IO[str] | None = None) -> int | None:
    """Characters that a line on a stream (default: stdout) may have; None for as many as it takes."""
    stream = stream or sys.stdout
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def no_colour() -> bool:
    """Whether the user wants none: NO_COLOR (no-color.org), or CLICOLOR=0 where nothing forces colours."""
    forced = os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE", "0") != "0"
    return bool(os.environ.get("NO_COLOR")) or (os.environ.get("CLICOLOR") == "0" and not forced)


def console(*, stderr: bool = False) -> "Console":
    """Where our tables and sentences go."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    room = width(stream)
    # On a terminal rich follows changes of the size.
    wide = (_WIDE if room is None else room) if not stream.isatty() or os.environ.get("COLUMNS") else None
    return Console(stderr=stderr, width=wide, no_color=True if no_colour() else None)


def show(where: "Console", table: "Table", least: Sequence[str], elsewhere: str) -> None:
    """Print a table, `fitted` to the console where that is not as wide as it takes."""
    where.print(table if where.width >= _WIDE else fitted(table, where.width, least, elsewhere))


def fitted(table: "Table", room: int, least: Sequence[str], elsewhere: str) -> "Table":
    """A table that is no wider than there is room for, with every number of a column that it shows in one piece.

    Columns that are right-aligned or say `no_wrap` hold numbers and names; all others hold words and may be folded
    between them. The first column is always shown.

    Args:
        table: of texts, with one header per column.
        room: characters of a line.
        least: headers in the order in which they are left out; those that are not named go last, from the right.
        elsewhere: what shows all columns, such as "--csv".
    """
    from rich.cells import cell_len
    from rich.table import Table

    texts = [_Texts(column) for column in table.columns]
    frame = _frame(table)
    first, *others = range(len(texts))
    rank = {header: place for place, header in enumerate(least)}
    order = sorted(others, key=lambda index: (rank.get(texts[index].header, len(least)), -index))
    kept = [first, *others]
    while len(kept) > 1 and sum(texts[index].needed for index in kept) + frame * len(kept) + 1 > room:
        kept.remove(order.pop(0))
    dropped = [texts[index].header for index in others if index not in kept]
    widths = _widths([texts[index] for index in kept], room - frame * len(kept) - 1)
    smaller = Table(
        title=table.title,
        title_justify=table.title_justify,
        caption=table.caption,
        caption_justify="left",
        box=table.box,
        padding=table.padding,
    )
    for index, wide in zip(kept, widths, strict=True):
        column = table.columns[index]
        smaller.add_column(
            column.header, justify=column.justify, overflow=column.overflow, no_wrap=column.no_wrap, width=wide
        )
    for cells in zip(*(table.columns[index].cells for index in kept), strict=True):
        smaller.add_row(*cells)
    if dropped:
        words = f"No room for: {', '.join(dropped)}. {elsewhere}, or a wider terminal."
        smaller.caption = f"{table.caption}\n{words}" if table.caption else words
        smaller.min_width = min(room, cell_len(words))  # a caption is folded to the table's width
    return smaller


def aligned_within(
    rows: Sequence[Sequence[str]], room: int | None, least: Sequence[str], elsewhere: str
) -> tuple[list[str], str | None]:
    """`aligned` rows that are no longer than there is room for, and a sentence on columns that are not shown.

    Args:
        rows: a header and lines; the first column is always shown, the last one holds words and is cut at the end.
        room: characters of a line; None for as many as it takes.
        least: headers in the order in which they are left out; those that are not named go last, from the right.
        elsewhere: what shows all columns, such as "--json".
    """
    if room is None:
        return aligned(rows), None
    rows = [[one_line(cell) for cell in row] for row in rows]
    header = rows[0]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    last = len(header) - 1
    widths[last] = min(widths[last], _LEAST_WORDS)
    rank = {name: place for place, name in enumerate(least)}
    order = sorted(range(1, last + 1), key=lambda index: (rank.get(header[index], len(least)), -index))
    kept = list(range(last + 1))
    while len(kept) > 1 and sum(widths[index] for index in kept) + 2 * (len(kept) - 1) > room:
        kept.remove(order.pop(0))
    lines = aligned([[row[index] for index in kept] for row in rows])
    cut = [line if cell_len(line) <= room else f"{set_cell_size(line, room - 1)}{_CUT}" for line in lines]
    dropped = [header[index] for index in range(last + 1) if index not in kept and header[index]]
    whats = [f"no room for: {', '.join(dropped)}"] if dropped else []
    whats += [f"the last column is cut at {_CUT}"] if cut != lines else []
    if not whats:
        return cut, None
    words = "; ".join(whats)
    return cut, f"{words[0].upper()}{words[1:]}. {elsewhere}, or a wider terminal."


class _Texts:
    """What stands in a column.

    Attributes:
        header: its name.
        natural: characters of its longest line.
        needed: characters below which a number or a name would be folded.
    """

    def __init__(self, column: "Column") -> None:
        from rich.cells import cell_len
        from rich.text import Text

        cells = [column.header, *column.cells]
        plain = [cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain for cell in cells]
        self.header = plain[0]
        self.natural = max(cell_len(line) for text in plain for line in (text.split("\n")))
        words = max((cell_len(word) for text in plain for word in text.split()), default=0)
        whole = (column.no_wrap and column.overflow != _CUT_OFF) or column.justify == "right"
        self.needed = self.natural if whole else min(self.natural, words, _LEAST_WORDS)


def _frame(table: "Table") -> int:
    """Characters that a column takes beside its text: padding and a line."""
    _, right, _, left = table.padding
    return left + right + (1 if table.box is not None else 0)


def _widths(texts: Sequence[_Texts], room: int) -> list[int]:
    """What each column gets: what it needs, and of the rest as much as it has use for, the narrowest first."""
    widths = [text.needed for text in texts]
    rest = max(0, room - sum(widths))
    wanting = sorted(range(len(texts)), key=lambda index: texts[index].natural - texts[index].needed)
    for place, index in enumerate(wanting):
        more = min(texts[index].natural - widths[index], rest // (len(wanting) - place))
        widths[index] += more
        rest -= more
    if room > 0 and len(widths) == 1:
        widths[0] = min(widths[0], room)
    return widths
