"""What a figure raises when the runs at hand lack what it shows."""

from analysis.runs.frames import Runs
from qae import metrics


class MissingDataError(ValueError):
    """The runs at hand lack what a figure shows; the text is a sentence on what is missing and how to get it."""


def require(runs: Runs, *needed: metrics.Metric) -> None:
    """Check that some run has logged each metric.

    Raises:
        MissingDataError: none has logged one of them.
    """
    for metric in needed:
        if runs.has(metric.name):
            continue
        if len(runs.metrics):
            raise MissingDataError(
                f"no run has logged {metric.name}; runs of the toolkit and of verl with its plug-in do (docs/verl.md)"
            )
        raise MissingDataError(
            f"no run has logged {metric.name} yet; `qae status` shows where the runs stand, and `python sweep.py -m` "
            "starts them"
        )
