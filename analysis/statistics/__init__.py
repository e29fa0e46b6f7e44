"""Estimates with intervals. One module per question; docs/statistics.md has the formulas and what is resampled."""

from analysis.statistics.aggregates import (
    Aggregate,
    Resampling,
    aggregate,
    aggregate_intervals,
)
from analysis.statistics.differences import (
    Difference,
    difference,
    holm,
    probability_of_improvement,
    seeds_needed,
)
from analysis.statistics.evaluations import (
    pass_at_k_curve,
    pass_at_k_estimate,
    pass_at_k_matrix,
    pass_at_k_table,
    whole_evaluations,
)
from analysis.statistics.intervals import CONFIDENCE, Estimate, bootstrap_interval
from analysis.statistics.seeds import Mean, mean_over_seeds, means_over_seeds
from analysis.statistics.trajectories import (
    Detection,
    Rule,
    Shape,
    detect,
    shape,
)

__all__ = [
    "CONFIDENCE",
    "Aggregate",
    "Detection",
    "Difference",
    "Estimate",
    "Mean",
    "Resampling",
    "Rule",
    "Shape",
    "aggregate",
    "aggregate_intervals",
    "bootstrap_interval",
    "detect",
    "difference",
    "holm",
    "mean_over_seeds",
    "means_over_seeds",
    "pass_at_k_curve",
    "pass_at_k_estimate",
    "pass_at_k_matrix",
    "pass_at_k_table",
    "probability_of_improvement",
    "seeds_needed",
    "shape",
    "whole_evaluations",
]
