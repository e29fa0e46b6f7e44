"""Words that tables and captions share."""

import difflib
import math
from collections.abc import Iterable, Sequence

from qae.console.text import brief


def span(values: Iterable[int]) -> str:
    """The range of some sizes: "5", "4 to 5", or "no" where there is none."""
    numbers = sorted(set(values))
    if not numbers:
        return "no"
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def seeds_an_arm(counts: Iterable[int]) -> str:
    """The sizes of arms: "1 seed an arm", "4 to 5 seeds an arm"."""
    numbers = list(counts)
    return f"{span(numbers)} {'seed' if set(numbers) == {1} else 'seeds'} an arm"


def hint(word: str, known: Sequence[str]) -> str:
    """What a mistyped word may mean: "did you mean fig9?", or all that there are."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {brief(close[0])}?" if close else f"there are: {', '.join(map(brief, known))}"


def interval(low: float, high: float, digits: int, *, signed: bool = False) -> str:
    """The ends of an interval: "[0.1, 0.2]"; "" where none is known."""
    if math.isnan(low) or math.isnan(high):
        return ""
    form = f"{'+' if signed else ''}.{digits}f"
    return f"[{low:{form}}, {high:{form}}]"


def signed(value: float, digits: int) -> str:
    """A difference: "+0.12"; "undefined" where it is of two infinite numbers."""
    return "undefined" if math.isnan(value) else f"{value:+.{digits}f}"


def some_of(seeds: int, of: int) -> str:
    """That a number rests on fewer seeds than its row: "(2 of 3)"; "" where it does not."""
    return f"({seeds} of {of})" if seeds < of else ""


def counted_lines(count: int, where: str = "") -> str:
    """Lines that something happened to: "1 line was", "3 lines of its files were"."""
    return f"1 line{where} was" if count == 1 else f"{count} lines{where} were"


def seeds_in_words(count: int) -> str:
    """A number of seeds: "1 seed", "4 seeds"."""
    return f"{count} {'seed' if count == 1 else 'seeds'}"
