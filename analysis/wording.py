"""Words that tables and captions share."""

import difflib
from collections.abc import Iterable, Sequence

from qae.text import brief


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


def seeds_in_words(count: int) -> str:
    """A number of seeds: "1 seed", "4 seeds"."""
    return f"{count} {'seed' if count == 1 else 'seeds'}"
