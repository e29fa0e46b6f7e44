"""The step of each row of a W&B history: its global step, else W&B's own."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.runs.flaw import Flaw, Kind
from analysis.runs.flaws import shown as shown_value
from qae.files.numbers import LARGEST_STEP

STEP_AXIS = "training/global_step"
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """Steps of the rows, -1 where a row has none, and what could not be used of them."""

    steps: Integers
    flaws: tuple[Flaw, ...]


def steps_of(
    rows: Integers,
    codes: Integers,
    values: npt.NDArray[np.float64],
    names: list[str],
    recorded: Integers,
    shown: npt.NDArray[np.bool_],
) -> Axis:
    """The step of each row.

    Args:
        rows: (items,), the row of each item.
        codes: (items,), into `names`.
        values: (items,), NaN for what is no number.
        names: each once.
        recorded: (rows,), W&B's own step as the record has it, -1 where it has none.
        shown: (items,), whether an item is not one of W&B's own.
    """
    own = recorded.copy()
    _set(own, "_step", rows, codes, values, names)
    steps = own.copy()
    given, refused = _set(steps, STEP_AXIS, rows, codes, values, names)
    with_numbers = np.zeros(len(steps), dtype=bool)
    with_numbers[rows[shown & ~np.isnan(values)]] = True
    nowhere = int((with_numbers & (steps < 0)).sum())
    flaws = step_flaws(refused.size, float(refused[0]) if refused.size else None, nowhere)
    lacking = int((with_numbers & ~given & (steps >= 0)).sum())
    if given.any() and lacking and (steps[given] != own[given]).any():
        text = (
            f"{_rows(lacking)} without {STEP_AXIS}, which is another than W&B's own step elsewhere in the run; they "
            "stand at W&B's own."
        )
        flaws.append(Flaw(Kind.STEPS, "", text, lacking))
    return Axis(steps, tuple(flaws))


def step_flaws(refused: int, example: object, nowhere: int) -> list[Flaw]:
    """What to say of steps that could not be used.

    Args:
        refused: rows whose global step is none.
        example: the first of these.
        nowhere: rows without any step, which are left out.
    """
    flaws = []
    if refused:
        text = (
            f"{_rows(refused)} with a {STEP_AXIS} that is no step (first: {shown_value(example)}); W&B's own step "
            "stands for it."
        )
        flaws.append(Flaw(Kind.STEPS, "", text, refused))
    if nowhere:
        text = f"{_rows(nowhere)} with neither a {STEP_AXIS} nor a step of W&B; left out."
        flaws.append(Flaw(Kind.STEPS, "", text, nowhere))
    return flaws


def _set(
    steps: Integers, name: str, rows: Integers, codes: Integers, values: npt.NDArray[np.float64], names: list[str]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Put the steps that a name gives; which rows it gives, and its values that are no step."""
    given = np.zeros(len(steps), dtype=bool)
    if name not in names:
        return given, np.empty(0)
    own = codes == names.index(name)
    found, at = values[own], rows[own]
    usable = (found >= 0) & (found <= LARGEST_STEP) & (found == np.floor(found))
    steps[at[usable]] = found[usable].astype(np.int64)
    given[at[usable]] = True
    return given, found[~usable]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
