"""Estimates with intervals. A module a question; docs/statistics.md has the formulas and what is resampled."""

from analysis.statistics.aggregates import (
    Aggregate,
    Profile,
    Resampling,
    aggregate,
    aggregate_intervals,
    performance_profile,
)
from analysis.statistics.differences import (
    Difference,
    difference,
    holm,
    probability_of_improvement,
    problems_needed,
    seeds_needed,
)
from analysis.statistics.evaluations import (
    pass_at_every_k,
    pass_at_k_curve,
    pass_at_k_estimate,
    pass_at_k_matrix,
    pass_at_k_table,
    whole_evaluations,
)
from analysis.statistics.intervals import CONFIDENCE, Estimate, bootstrap_interval
from analysis.statistics.seeds import Mean, mean_over_seeds, means_over_seeds
from analysis.statistics.trajectories import (
    Alignment,
    Detection,
    Rule,
    Shape,
    Smoothed,
    aligned,
    detect,
    shape,
    smoothed,
    time_to,
)

__all__ = [
    "CONFIDENCE",
    "Aggregate",
    "Alignment",
    "Detection",
    "Difference",
    "Estimate",
    "Mean",
    "Profile",
    "Resampling",
    "Rule",
    "Shape",
    "Smoothed",
    "aggregate",
    "aggregate_intervals",
    "aligned",
    "bootstrap_interval",
    "detect",
    "difference",
    "holm",
    "mean_over_seeds",
    "means_over_seeds",
    "pass_at_every_k",
    "pass_at_k_curve",
    "pass_at_k_estimate",
    "pass_at_k_matrix",
    "pass_at_k_table",
    "performance_profile",
    "probability_of_improvement",
    "problems_needed",
    "seeds_needed",
    "shape",
    "smoothed",
    "time_to",
    "whole_evaluations",
]
