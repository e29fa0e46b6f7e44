"""Numbers as other programs write them: as text, as numpy prints its scalars, with the words that JSON lacks.

Python's json writes NaN and Infinity, verl's dumps turn what json does not know into text (``default=str``), W&B
writes the words as strings, and a shell's override makes text of everything. All readers ask here.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

_TRUTH: Final = {"true": 1.0, "false": 0.0, "np.true_": 1.0, "np.false_": 0.0}
# "np.float64(0.4)", "Decimal('0.4')", "tensor(0.4, device='cuda:0')": the printed form of one number.
_PRINTED: Final = re.compile(r"[A-Za-z_][\w.]*\(\s*'?([^'\s,()\[\]]+)'?\s*(?:,[^()\[\]]*)?\)")
_ABSENT: Final = ("", "none", "null")
# The greatest step that a float still counts exactly.
LARGEST_STEP: Final = 2**53
_SPELLED: Final = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def number(value: object) -> float | None:
    """A foreign value as a number; NaN where it says so, None where it is none.

    True and false are 1 and 0. Text may be what float reads ("0.4", "1e-6", "inf", "nan"), "True" or "False", or a
    scalar as numpy, torch or decimal print it. "0,4", "1,000", "40 %", lists and mappings are no number.
    """
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, int | float):
        return _float(value)
    return None


def step(value: object) -> int | None:
    """A foreign value as a global step; None where it is none: not whole, negative, infinite, NaN, true or false.

    5, 5.0 and "5" are step 5.
    """
    if type(value) is int:  # nearly all of them
        return value if 0 <= value <= LARGEST_STEP else None
    if isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in _TRUTH):
        return None
    found = number(value)
    if found is None or not 0 <= found <= LARGEST_STEP or found != int(found):
        return None
    return int(found)


def is_absent(value: object) -> bool:
    """Whether a value says that there is none: null, empty text, "None"."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _ABSENT)


def spelled(value: object) -> object:
    """A value for JSON, which lacks NaN and infinity: they become "NaN", "Infinity" and "-Infinity", at any depth."""
    if isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: spelled(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [spelled(inner) for inner in value]
    return value


def unspelled(value: object) -> object:
    """What `spelled` has written: the three words as numbers, anything else as it is."""
    return _SPELLED.get(value, value) if isinstance(value, str) else value


def _of_text(text: str) -> float | None:
    if (truth := _TRUTH.get(text.lower())) is not None:
        return truth
    try:
        return float(text)
    except ValueError:
        printed = _PRINTED.fullmatch(text)
        return _of_text(printed[1]) if printed else None


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if value > 0 else -math.inf
