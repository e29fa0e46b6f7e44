"""Writes rliable_reference.json: what rliable and statsmodels make of scores with ties and of p-values.

They do not import beside pandas 3, so run it by a Python of theirs, which `make benchmark-statistics` sets up:
``.venv/rliable/bin/python tests/analysis/statistics/rliable_reference.py``.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np
from rliable import library, metrics
from statsmodels.stats.multitest import multipletests

RESAMPLES = 20_000


def main() -> None:
    """Record the numbers beside this file."""
    generator = np.random.default_rng(0)
    # Steps of .05 give ties within and between the methods; 35 scores have no whole quarter.
    first, second = (np.round(generator.beta(2, shape, (runs, 7)) * 20) / 20 for shape, runs in ((2, 5), (3, 6)))
    np.random.seed(0)  # rliable draws from numpy's global generator
    aggregates = {
        "IQM": metrics.aggregate_iqm,
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
        "optimality gap": lambda scores: metrics.aggregate_optimality_gap(scores, gamma=0.6),
    }

    def every(scores: object) -> object:
        return np.array([function(scores) for function in aggregates.values()])

    def intervals(*, task_bootstrap: bool) -> dict[str, list[float]]:
        _, ends = library.get_interval_estimates({"": first}, every, reps=RESAMPLES, task_bootstrap=task_bootstrap)
        return dict(zip(aggregates, ends[""].T.tolist(), strict=True))

    p_values = np.round(generator.random(8) ** 4, 4)
    reference = {
        "versions": {name: importlib.metadata.version(name) for name in ("rliable", "scipy", "statsmodels")},
        "resamples": RESAMPLES,
        "first": first.tolist(),
        "second": second.tolist(),
        "gamma": 0.6,
        "aggregates": {name: float(function(first)) for name, function in aggregates.items()},
        "intervals": {"runs": intervals(task_bootstrap=False), "runs and tasks": intervals(task_bootstrap=True)},
        "probability of improvement": float(metrics.probability_of_improvement(first, second)),
        "p values": p_values.tolist(),
        "holm": multipletests(p_values, method="holm")[1].tolist(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
