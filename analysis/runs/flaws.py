"""What is wrong with the numbers of runs, as records: values, steps and settings that could not be used, and order.

Sources find them while they read; what can be seen in the numbers themselves is found here. The report lists them
all, every command says in one sentence a kind that there are some.
"""

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.runs.flaw import Flaw, Kind
from analysis.runs.frames import Runs
from analysis.runs.naming import K, k_is_unreadable
from qae.files import numbers

SHOWN_STEPS = 6
_SHOWN_TOTALS = 4
_TOTAL_STEPS = "trainer.total_training_steps"


def of(runs: Runs) -> list[Flaw]:
    """All flaws of some runs: what their source has found, infinite values, and settings that could not be read."""
    return [*runs.flaws, *_infinite(runs), *_settings(runs)]


def undefined_steps(runs: Runs, name: str) -> dict[str, tuple[int, ...]]:
    """By run, the steps at which a metric was logged and is no number."""
    return {
        flaw.run: flaw.steps for flaw in runs.flaws if flaw.kind is Kind.VALUES and flaw.what == name and flaw.steps
    }


def summary(flaws: Sequence[Flaw]) -> list[str]:
    """One sentence per kind, however many runs there are."""
    by_kind: dict[Kind, list[Flaw]] = {}
    for flaw in flaws:
        by_kind.setdefault(flaw.kind, []).append(flaw)
    return [_sentence(kind, by_kind[kind]) for kind in Kind if kind in by_kind]


def shown(value: object) -> str:
    """A foreign value in a few characters."""
    if isinstance(value, float) and value != value:  # noqa: PLR0124  # NaN
        return "NaN"
    return "null" if value is None else reprlib.repr(value)


def listed_steps(steps: Sequence[int]) -> str:
    """Steps in few words: "3, 5, 9, …"."""
    return ", ".join(map(str, steps[:SHOWN_STEPS])) + (", …" if len(steps) > SHOWN_STEPS else "")


def _sentence(kind: Kind, flaws: Sequence[Flaw]) -> str:
    runs = list(dict.fromkeys(flaw.run for flaw in flaws))
    where = f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs ({runs[0]}, …)"
    if len(flaws) == 1:
        return f"{kind}, {where}: {flaws[0].text}"
    counts: dict[str, int] = {}
    for flaw in flaws:
        counts[flaw.what] = counts.get(flaw.what, 0) + flaw.count
    totals = [
        f"{count} of {what}" if what else f"{count} in all" for what, count in list(counts.items())[:_SHOWN_TOTALS]
    ]
    totals += ["…"] if len(counts) > _SHOWN_TOTALS else []
    return f"{kind}, {where}: {', '.join(totals)}. Run {flaws[0].run}, for one: {flaws[0].text}"


def _infinite(runs: Runs) -> list[Flaw]:
    values = runs.metrics["value"].to_numpy(dtype=np.float64)
    rows = np.flatnonzero(np.isinf(values))
    if not rows.size:
        return []
    frame = runs.metrics.take(rows).astype({"run": "str", "name": "str"})
    return [
        Flaw(
            Kind.INFINITE,
            str(run),
            f"{name} is infinite {at_steps(steps)}: means over steps and seeds that hold it are infinite too.",
            len(steps),
            str(name),
        )
        for (run, name), part in frame.groupby(["run", "name"], sort=False)
        if (steps := [int(step) for step in part["step"]])
    ]


def _settings(runs: Runs) -> list[Flaw]:
    found = []
    for record in runs.records:
        if k_is_unreadable(record.config):
            value = shown(record.config.get(K))
            text = f"{K}={value} is no K: the run stands in an arm of its own, not under the mean."
            found.append(Flaw(Kind.SETTINGS, record.id, text, 1, K))
        total = record.config.get(_TOTAL_STEPS)
        if not numbers.is_absent(total) and numbers.step(total) is None:
            text = f"{_TOTAL_STEPS}={shown(total)} is no number of steps: how many complete the run is not known."
            found.append(Flaw(Kind.SETTINGS, record.id, text, 1, _TOTAL_STEPS))
    return found


def at_steps(steps: Sequence[int]) -> str:
    """Steps with their noun: "at step 3"."""
    return f"at {'step' if len(steps) == 1 else 'steps'} {listed_steps(steps)}"


def with_run(flaws: Iterable[Flaw], run: str) -> list[Flaw]:
    """The flaws as those of a run."""
    return [replace(flaw, run=run) for flaw in flaws]


def rewritten(frame: pd.DataFrame) -> Flaw | None:
    """Steps at which a metric has several numbers, which are not the same; None where there is none.

    Args:
        frame: columns step, name, value, before all but the last of a step and name are dropped.
    """
    repeated = frame[frame.duplicated(["step", "name"], keep=False)]
    if repeated.empty:
        return None
    differing = repeated.groupby(["step", "name"], observed=True)["value"].nunique()
    differing = differing[differing > 1]
    if differing.empty:
        return None
    steps = sorted({int(step) for step, _ in differing.index})
    text = (
        f"{len(differing)} numbers were logged several times {at_steps(steps)}, with different values; the last counts."
    )
    return Flaw(Kind.SUPERSEDED, "", text, len(differing))
