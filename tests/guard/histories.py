"""Made-up histories and the settings that tests judge them by."""

from collections.abc import Mapping, Sequence

from qae import metrics
from qae.guard.history import StepRecord, step_record
from qae.guard.settings import Watch, watches

PASS = metrics.pass_at(1).name
SECTION: Mapping[str, Mapping[str, object]] = {
    "explosion": {"action": "stop", "steps": 3, "start_steps": 2, "ratio": 1.5, "pass_gain": 0.1},
    "dead_learning": {"action": "stop", "steps": 2},
    "divergence": {"action": "stop"},
}


def only(rule: str, **changes: object) -> tuple[Watch, ...]:
    """One rule on duty, with some of its keys changed."""
    return watches({rule: {**SECTION[rule], **changes}})


def history(
    entropy: Sequence[float | None],
    *,
    zero: Sequence[float] | None = None,
    grad_norm: Sequence[float | None] | None = None,
    passes: Mapping[int, float] | None = None,
) -> list[StepRecord]:
    """Steps 1, 2, … with a value a step of each metric, after step 0 where pass@1 (by step) is given for it."""
    columns = {
        metrics.ENTROPY.name: entropy,
        metrics.ZERO_FRACTION.name: zero,
        metrics.GRAD_NORM.name: grad_norm,
    }
    evaluated = passes or {}
    records = [step_record(0, {PASS: evaluated[0]})] if 0 in evaluated else []
    for i in range(len(entropy)):
        values: dict[str, object] = {name: column[i] for name, column in columns.items() if column is not None}
        if i + 1 in evaluated:
            values[PASS] = evaluated[i + 1]
        records.append(step_record(i + 1, values))
    return records
