"""Arms against arms on the same seeds and problems, up to the same step: differences that allow for how many there are.

One module per question: `measures` says in what arms are compared, `pairs` which arms, `differences` what comes out,
`left_out` what does not, and `tables` shows it.
"""

from analysis.comparison.differences import LEVEL, Case, Difference, cases_of, compare, on_common
from analysis.comparison.left_out import left_out
from analysis.comparison.measures import (
    ENTROPY_FINAL,
    ENTROPY_LEVEL,
    ENTROPY_PEAK,
    LENGTH_FINAL,
    MEASURES,
    PASS_1,
    PASS_16,
    Measure,
    final_of,
    measures_of,
    of_metric,
    of_pass_at,
)
from analysis.comparison.pairs import Pair, against, against_the_mean, against_the_plain_variant, default_pairs
from analysis.comparison.tables import (
    COLUMNS,
    LEAST,
    caption,
    cells,
    frame,
    frame_caption,
    markdown,
    records,
    rich_table,
)

__all__ = [
    "COLUMNS",
    "ENTROPY_FINAL",
    "ENTROPY_LEVEL",
    "ENTROPY_PEAK",
    "LEAST",
    "LENGTH_FINAL",
    "LEVEL",
    "MEASURES",
    "PASS_1",
    "PASS_16",
    "Case",
    "Difference",
    "Measure",
    "Pair",
    "against",
    "against_the_mean",
    "against_the_plain_variant",
    "caption",
    "cases_of",
    "cells",
    "compare",
    "default_pairs",
    "final_of",
    "frame",
    "frame_caption",
    "left_out",
    "markdown",
    "measures_of",
    "of_metric",
    "of_pass_at",
    "on_common",
    "records",
    "rich_table",
]
