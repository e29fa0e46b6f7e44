"""Differences for people, documents and programs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich import box

from analysis.comparison.differences import Difference
from qae.console.literal import LiteralTable
from qae.console.text import markdown_table

COLUMNS = ("difference", "measure", "value", "p", "improvement", "seeds", "problems", "step", "seeds needed")
# In the order in which a narrow terminal goes without them.
LEAST = ("problems", "seeds needed", "step", "improvement", "p", "seeds", "value", "measure")
_NONE = "—"


def frame(differences: Sequence[Difference]) -> pd.DataFrame:
    """For people: one row per pair, one column per measure; a star where the difference is separated from zero."""
    rows: dict[str, dict[str, object]] = {}
    for difference in differences:
        row = rows.setdefault(difference.shown, {"seeds": difference.seeds})
        row[difference.measure.label] = f"{difference}{' *' if difference.is_separated else ''}"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference").fillna("—")


def records(differences: Sequence[Difference]) -> pd.DataFrame:
    """For CSV and JSON: one row per difference, one column per number."""
    rows = [
        {
            **{name: value for name, value in vars(difference).items() if name != "measure"},
            "first": str(difference.first),
            "second": str(difference.second),
            "measure": difference.measure.name,
            "separated": difference.is_separated,
        }
        for difference in differences
    ]
    columns = ["first", "second", "measure"]
    table = pd.DataFrame(rows, columns=[*columns, *(name for name in (rows[0] if rows else ()) if name not in columns)])
    return table.astype({"seeds_needed": "Int64"}) if rows else table


def cells(differences: Sequence[Difference]) -> list[tuple[str, ...]]:
    """Rows under `COLUMNS`."""
    return [
        (
            difference.shown,
            difference.measure.label,
            f"{difference}{' *' if difference.is_separated else ''}",
            _p_value(difference.p_adjusted),
            f"{difference.improvement:.2f} [{difference.improvement_low:.2f}, {difference.improvement_high:.2f}]",
            f"{difference.seeds}{_behind(difference.behind)}",
            str(difference.problems) if difference.problems > 1 else _NONE,
            str(difference.step),
            _NONE if difference.seeds_needed is None else str(difference.seeds_needed),
        )
        for difference in differences
    ]


def rich_table(differences: Sequence[Difference]) -> LiteralTable:
    """The table for a terminal."""
    table = LiteralTable(title="Differences", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:2] else "right", overflow="fold")
    for row in cells(differences):
        table.add_row(*row)
    return table


def markdown(differences: Sequence[Difference]) -> str:
    """The table for a document, with its caption."""
    return f"{markdown_table(COLUMNS, cells(differences), text_columns=2)}\n\n{caption(differences)}"


def caption(differences: Sequence[Difference]) -> str:
    """What the numbers under `COLUMNS` are."""
    if not differences:
        return frame_caption(differences)
    return (
        f"{frame_caption(differences)} improvement: probability that a run of the first is above one of the second, "
        "ties half. seeds needed: an arm, for such a difference to be seen alone with a chance of 80 %."
    )


def frame_caption(differences: Sequence[Difference]) -> str:
    """What the numbers of `frame` are."""
    if not differences:
        return "No two arms can be compared."
    together = f", so that all {len(differences)} hold together with 95 %" if len(differences) > 1 else ""
    return (
        "Mean differences on the same seeds and, for pass@k, the same problems, up to a step that both arms have "
        "reached; pass@k is that of the last evaluation up to it. "
        f"[ ]: {differences[0].confidence:.2%} intervals{together}: bootstrap over seeds and problems for pass@k "
        "where there are counts, Student's t over pairs of seeds for the others. *: p, two-sided and adjusted for "
        "their number by Holm's procedure, is at most .05; none with one seed."
    )


def _behind(runs: int) -> str:
    """How many runs were left out, beside a number of seeds."""
    return f" ({runs} {'run' if runs == 1 else 'runs'} behind)" if runs else ""


def _p_value(p: float) -> str:
    if np.isnan(p):
        return _NONE
    return "< .001" if p < 0.001 else f"{p:.3f}"
