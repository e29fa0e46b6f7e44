"""Made-up histories and the settings that tests judge them by."""

from collections.abc import Mapping, Sequence

from qae import metrics
from qae.guard.history import StepRecord, step_record
from qae.guard.settings import Watch, watches

SECTION: Mapping[str, Mapping[str, object]] = {
    "explosion": {"action": "stop", "steps": 3, "start_steps": 2, "ratio": 1.5},
    "drift": {"action": "stop", "steps": 2, "start_steps": 1, "ratio": 1.1, "advantage": -0.05, "clip_drift": 0.01},
    "dead_learning": {"action": "stop", "steps": 2},
    "divergence": {"action": "stop"},
}


def only(rule: str, **changes: object) -> tuple[Watch, ...]:
    """One rule on duty, with some of its keys changed."""
    return watches({rule: {**SECTION[rule], **changes}})


def history(
    entropy: Sequence[float | None],
    *,
    advantage: Sequence[float] | None = None,
    clip_drift: Sequence[float] | None = None,
    zero: Sequence[float] | None = None,
    grad_norm: Sequence[float | None] | None = None,
) -> list[StepRecord]:
    """Steps 1, 2, … with a value per step of each metric."""
    columns = {
        metrics.ENTROPY.name: entropy,
        metrics.ADVANTAGE_TOKEN_MEAN.name: advantage,
        metrics.CLIP_DRIFT.name: clip_drift,
        metrics.ZERO_FRACTION.name: zero,
        metrics.GRAD_NORM.name: grad_norm,
    }
    records = []
    for i in range(len(entropy)):
        values: dict[str, object] = {name: column[i] for name, column in columns.items() if column is not None}
        records.append(step_record(i + 1, values))
    return records
