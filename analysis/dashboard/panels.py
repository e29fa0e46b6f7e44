"""What a dashboard shows, whatever draws it: sections of charts over global steps."""

from dataclasses import dataclass

from qae import metrics
from qae.metrics import Metric

# Runs that are equal in these are one line, the mean over their seeds.
GROUPED_BY = ("algorithm.advantage", "algorithm.quantile_k", "labels.regularizer")
STEP_AXIS = metrics.GLOBAL_STEP


@dataclass(frozen=True)
class Chart:
    """One line per group of runs and metric.

    Attributes:
        title: above it.
        metrics: what it draws; all of one unit.
    """

    title: str
    metrics: tuple[Metric, ...]

    @property
    def unit(self) -> str:
        """Of the vertical axis."""
        return self.metrics[0].unit


@dataclass(frozen=True)
class Section:
    """Charts side by side.

    Attributes:
        name: of the section.
        about: what to look for, in a sentence or two.
        charts: its charts.
    """

    name: str
    about: str
    charts: tuple[Chart, ...]


def _alone(metric: Metric) -> Chart:
    return Chart(metric.label, (metric,))


SECTIONS = (
    Section(
        "Entropy",
        "Look here first: does it explode or collapse? Under the quantile, which sign carries it changes with K.",
        (
            _alone(metrics.ENTROPY),
            Chart(
                "Entropy by sign of the advantage",
                (metrics.ENTROPY_NEGATIVE, metrics.ENTROPY_ZERO, metrics.ENTROPY_POSITIVE),
            ),
        ),
    ),
    Section(
        "Advantages",
        "About four of five are zero at K = 0.4. Far fewer: groups have more than two scores. A mean over tokens below "
        "zero: wrong responses are longer, and the loss is net negative.",
        (
            Chart(
                "Shares of zero, positive and negative advantages",
                (metrics.ZERO_FRACTION, metrics.POSITIVE_FRACTION, metrics.NEGATIVE_FRACTION),
            ),
            _alone(metrics.MULTI_VALUED_GROUP_FRACTION),
            _alone(metrics.ADVANTAGE_TOKEN_MEAN),
        ),
    ),
    Section(
        "pass@k",
        "Of the held-out problems, unbiased. Intervals need counts, which W&B does not have: `qae table` gives them.",
        (_alone(metrics.pass_at(1)), _alone(metrics.pass_at(16))),
    ),
    Section(
        "Responses",
        "Responses that get longer while pass@1 stands still go with an explosion of entropy.",
        (
            _alone(metrics.LENGTH_MEAN),
            _alone(metrics.LENGTH_CLIP_RATIO),
            Chart("Response length, right and wrong", (metrics.LENGTH_RIGHT, metrics.LENGTH_WRONG)),
        ),
    ),
    Section(
        "Clipping",
        "What the regularizer holds back. A drift above zero: more of the push down is held back than of the push up.",
        (
            _alone(metrics.CLIP_FRACTION),
            _alone(metrics.CLIP_FRACTION_LOWER),
            Chart(
                "Clipped tokens by sign of the advantage",
                (metrics.CLIP_FRACTION_POSITIVE, metrics.CLIP_FRACTION_NEGATIVE),
            ),
            _alone(metrics.CLIP_DRIFT),
            _alone(metrics.PPO_KL),
        ),
    ),
)
