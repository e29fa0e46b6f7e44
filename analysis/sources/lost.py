"""Values of metrics that are no number: what a reader of any source leaves out, and what it says of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from analysis.runs.flaw import Flaw, Kind
from analysis.runs.flaws import at_steps, shown
from qae import metrics
from qae.files import numbers


@dataclass(frozen=True)
class Lost:
    """Values of a metric that are no number.

    Attributes:
        name: of the metric.
        steps: where.
        example: the first of them, as it was written; "NaN" where all are NaN.
    """

    name: str
    steps: tuple[int, ...]
    example: str


def lost_values(found: Mapping[str, Sequence[tuple[int, object]]], numeric: Iterable[str]) -> tuple[Lost, ...]:
    """Values that should be numbers and are none: those of metrics, and of names that have numbers elsewhere.

    Args:
        found: by name, (step, value as it was written) in order.
        numeric: names that have numbers.
    """
    names = {*numeric, *metrics.METRICS}
    return tuple(
        Lost(name, tuple(step for step, _ in values), shown(values[0][1]))
        for name, values in found.items()
        if name in names and values
    )


def of_lost(run: str, lost: Iterable[Lost]) -> list[Flaw]:
    """Flaws of a run from its lost values: one a known metric, one for all others."""
    items = list(lost)
    known = [item for item in items if item.name in metrics.METRICS]
    others = [item for item in items if item.name not in metrics.METRICS]
    found = [
        Flaw(
            Kind.VALUES,
            run,
            f"{_values(len(item.steps))} of {item.name} {_is_no_number(item)} {at_steps(item.steps)}.",
            len(item.steps),
            item.name,
            item.steps,
        )
        for item in known
    ]
    if others:
        count = sum(len(item.steps) for item in others)
        first = min(others, key=lambda item: item.steps[0])
        text = (
            f"{_values(count)} of other metrics ({', '.join(item.name for item in others[:3])}"
            f"{', …' if len(others) > 3 else ''}) could not be used; the first is {first.example} at step "
            f"{first.steps[0]}."
        )
        found.append(Flaw(Kind.VALUES, run, text, count))
    return found


def kept_of(lost: Iterable[Lost], superseded: Iterable[int]) -> list[Lost]:
    """Lost values without those at steps that something later has replaced."""
    gone = set(superseded)
    kept = (replace(item, steps=tuple(at for at in item.steps if at not in gone)) for item in lost)
    return [item for item in kept if item.steps]


def tidied(rows: Iterable[tuple[int, str, object]]) -> tuple[list[int], list[str], list[float], tuple[Lost, ...]]:
    """Values of steps as columns step, name and value, and those that are no number.

    Args:
        rows: step, name and value as it was written. Lists and mappings are no metrics and are passed over.
    """
    steps: list[int] = []
    names: list[str] = []
    values: list[float] = []
    others: dict[str, list[tuple[int, object]]] = {}
    for step, name, value in rows:
        found = value if type(value) is float else numbers.number(value)
        if found is not None and found == found:  # noqa: PLR0124  # not NaN
            steps.append(step)
            names.append(name)
            values.append(found)
        elif not isinstance(value, list | dict):
            others.setdefault(name, []).append((step, value))
    written = set(zip(names, steps, strict=True))
    lacking = {name: [item for item in found if (name, item[0]) not in written] for name, found in others.items()}
    return steps, names, values, lost_values(lacking, set(names))


def _values(count: int) -> str:
    return f"{count} {'value' if count == 1 else 'values'}"


def _is_no_number(item: Lost) -> str:
    verb = "is" if len(item.steps) == 1 else "are"
    return f"{verb} NaN" if item.example == "NaN" else f"{verb} no number ({item.example})"


def flaws_to(lost: Iterable[Lost], flaws: Iterable[Flaw]) -> dict[str, object]:
    """Both as JSON-able values, for the cache."""
    return {"lost": [asdict(item) for item in lost], "flaws": [asdict(flaw) for flaw in flaws]}


def flaws_from(description: Mapping[str, Any]) -> tuple[tuple[Lost, ...], tuple[Flaw, ...]]:
    """What `flaws_to` has put into a description."""
    lost, flaws = description["lost"], description["flaws"]
    return (
        tuple(Lost(**{**item, "steps": tuple(item["steps"])}) for item in lost),
        tuple(Flaw(**{**flaw, "kind": Kind(flaw["kind"]), "steps": tuple(flaw["steps"])}) for flaw in flaws),
    )
