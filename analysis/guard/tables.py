"""A replay as tables: one line per run, and the sums."""

from collections import Counter
from collections.abc import Sequence

from analysis.guard.replay import Line, Outcome, Replayed
from qae.console.text import brief

HEADER = ("run", "arm", "seed", "status", "steps", "rule", "step", "pass@1", "end / start", "outcome", "steps saved")
# In the order in which a narrow terminal goes without them.
LEAST = ("seed", "pass@1", "end / start", "steps", "status", "steps saved", "arm", "step", "rule")


def row(item: Replayed) -> tuple[str, ...]:
    """A run as a line."""
    record, finding = item.record, item.finding
    known = item.first_pass is not None and item.last_pass is not None
    return (
        brief(record.id),
        record.arm.shown,
        str(record.seed),
        record.status.shown,
        str(item.steps),
        finding.rule if finding else "",
        str(finding.step) if finding else "",
        f"{item.first_pass:.3f} → {item.last_pass:.3f}" if known else "",
        f"{item.entropy_ratio:.2f}" if item.entropy_ratio is not None else "",
        str(item.outcome),
        str(item.steps_after) if finding else "",
    )


def sums(items: Sequence[Replayed]) -> str:
    """What the stops come to, in a sentence each."""
    counts = Counter(item.outcome for item in items)
    bad = counts[Outcome.TRUE_STOP] + counts[Outcome.MISSED]
    good = counts[Outcome.FALSE_STOP] + counts[Outcome.KEPT]
    line = items[0].line if items else Line()
    good_ends = (
        f"entropy at most {line.entropy_ratio:g} times its start and pass@1 at least {line.gain:g} above its first"
    )
    stops = f"True stops: {counts[Outcome.TRUE_STOP]} of {bad} bad runs. False stops: {counts[Outcome.FALSE_STOP]}"
    parts = [
        f"n = {len(items)} runs. A good run ends with {good_ends} evaluation.",
        f"{stops} of {good} good runs.",
        _saved(items),
    ]
    if counts[Outcome.NOT_JUDGED]:
        parts.append(f"Not judged for want of two evaluations: {counts[Outcome.NOT_JUDGED]}.")
    return "\n".join(parts)


def _saved(items: Sequence[Replayed]) -> str:
    """Steps and hours that true stops save, and those that false ones lose."""
    steps = sum(item.steps for item in items)
    words = []
    for outcome, verb in ((Outcome.TRUE_STOP, "True stops save"), (Outcome.FALSE_STOP, "false stops lose")):
        chosen = [item for item in items if item.outcome is outcome]
        after = sum(item.steps_after for item in chosen)
        share = after / steps if steps else 0.0
        words.append(f"{verb} {after} of {steps} steps ({share:.0%}){_hours(chosen)}")
    return f"{'; '.join(words)}."


def _hours(items: Sequence[Replayed]) -> str:
    on_gpus = {item.on_gpus for item in items}
    kinds = [(True, "GPU hours"), (False, "hours on CPUs")]
    parts = [
        f", {sum(item.hours_after for item in items if item.on_gpus is kind):.2g} {name}"
        for kind, name in kinds
        if kind in on_gpus
    ]
    return "".join(parts)
