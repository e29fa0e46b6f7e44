"""Words that tables and captions share."""

from collections.abc import Iterable


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
