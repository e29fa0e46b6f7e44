"""Text for rich: shown as it is, never read as markup, an emoji's name or an escape sequence."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qae.console.text import paragraph


def literal(text: object, style: str = "") -> Text:
    """The text as it is, in one style."""
    return Text(paragraph(text), style=style)


def say(console: Console, sentence: object) -> None:
    """Print a sentence as it is; a terminal wraps it, a file has it on one line."""
    console.print(literal(sentence), soft_wrap=True)


class LiteralTable(Table):
    """A table whose title, heads and cells are text as it is; a cell that is a `Text` brings its own style."""

    def __init__(self, *, title: str | None = None, **settings: Any) -> None:  # noqa: ANN401  # rich's own
        super().__init__(
            title=None if title is None else literal(title, "table.title"), title_justify="left", **settings
        )

    def add_column(self, header: object = "", *rest: Any, **settings: Any) -> None:  # noqa: ANN401  # rich's own
        """Add a column with a head that is text."""
        super().add_column(literal(header) if isinstance(header, str) else header, *rest, **settings)  # type: ignore[arg-type]

    def add_row(self, *cells: Any, **settings: Any) -> None:  # noqa: ANN401  # rich's own
        """Add a row of cells that are text."""
        super().add_row(*(literal(cell) if isinstance(cell, str) else cell for cell in cells), **settings)
