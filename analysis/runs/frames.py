"""Runs at hand: a record each, and their numbers as tidy frames. Every source returns this."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.flaw import Flaw
from analysis.runs.identity import DEFAULT, ArmRule
from qae.console.text import brief
from qae.run_directory import RunStatus, has_collapsed

Result = TypeVar("Result")

METRIC_COLUMNS = ("run", "step", "name", "value")
EVALUATION_COLUMNS = ("run", "step", "data_set", "problem", "n", "c", "mean_length")


@dataclass(frozen=True)
class ArmName:
    """What an arm is called, from what differs between the runs at hand.

    As a string it is the whole name, which CSV and JSON carry; people read `shown`.

    Attributes:
        baseline: "mean", "K = 0.4", "median", …
        k: K of the quantile, or None where the baseline is none.
        variant: what else sets the arm apart ("clip_symmetric", "optim.lr=0.0002"), or "".
    """

    baseline: str
    k: float | None
    variant: str

    def __str__(self) -> str:
        return f"{self.baseline}, {self.variant}" if self.variant else self.baseline

    @property
    def shown(self) -> str:
        """The name as tables, figures and sentences have it: on one line, a long one shortened, as `brief` has it."""
        return brief(self)


@dataclass(frozen=True)
class RunRecord:
    """A run beside its numbers.

    Attributes:
        id: run id.
        arm: its arm: all runs that are equal but for the seed share it.
        seed: training seed.
        status: where the run stands.
        step: its last step on disk.
        total_steps: steps that complete it; 0 where that is not known.
        config: its resolved configuration, dotted keys.
        directory: its run directory, for what is read only where a figure asks for it (tokens); None where the
            source has none.
        reason: why it failed or was stopped; "" where that is not known.
    """

    id: str
    arm: ArmName
    seed: int
    status: RunStatus
    step: int
    total_steps: int
    config: Mapping[str, object]
    directory: Path | None = None
    reason: str = ""

    @property
    def collapsed(self) -> bool:
        """Whether it failed because no group of a batch had both right and wrong responses."""
        return has_collapsed(self.status, self.reason)

    @property
    def ended_early(self) -> bool:
        """Whether what it logged until it ended is its result: it collapsed, or a guard stopped it."""
        return self.collapsed or self.status is RunStatus.STOPPED_BY_GUARD

    @property
    def labels(self) -> dict[str, str]:
        """Names of the chosen options: model, regularizer, advantage, data, experiment, as far as they are set."""
        prefix = "labels."
        return {key.removeprefix(prefix): str(v) for key, v in self.config.items() if key.startswith(prefix) and v}

    @property
    def regularizer(self) -> str:
        """Name of the chosen regularizer."""
        return self.labels.get("regularizer", "")


@dataclass(frozen=True)
class Runs:
    """Runs with their numbers.

    Attributes:
        records: one record per run, in order of arm and seed.
        metrics: columns run, step, name, value; one row per finite or infinite number, none where it is undefined. Run
            and name may be categorical.
        evaluations: columns run, step, data_set, problem, n, c, mean_length; run and data_set are categorical.
        notes: sentences on what could not be read and was left out.
        arm_notes: sentences on arms and seeds that are not what their names say.
        rule: by which arms were made.
        flaws: what is wrong with the numbers, as the source has found it; `analysis.runs.flaws.of` has all of it.
    """

    records: tuple[RunRecord, ...]
    metrics: pd.DataFrame
    evaluations: pd.DataFrame
    notes: tuple[str, ...] = ()
    arm_notes: tuple[str, ...] = ()
    rule: ArmRule = DEFAULT
    flaws: tuple[Flaw, ...] = ()
    _remembered: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {name: _categorical(self.evaluations[name]) for name in ("run", "data_set")}
        object.__setattr__(self, "evaluations", self.evaluations.assign(**names))

    @cached_property
    def arms(self) -> dict[ArmName, list[RunRecord]]:
        """Records of each arm, in the order of `records`."""
        arms: dict[ArmName, list[RunRecord]] = {}
        for record in self.records:
            arms.setdefault(record.arm, []).append(record)
        return arms

    def arm_called(self, name: str) -> ArmName | None:
        """The arm of a name, as it is or as it is shown; None where there is none."""
        return next((arm for arm in self.arms if name in (str(arm), arm.shown)), None)

    @property
    def all_notes(self) -> tuple[str, ...]:
        """What a reader of a table must know: of arms and seeds first, then of what could not be read."""
        return (*self.arm_notes, *self.notes)

    def only(self, records: Iterable[RunRecord]) -> "Runs":
        """These runs, which may have other names of their arms, with their numbers and the notes that name them."""
        kept = tuple(records)
        ids = {record.id for record in kept}
        chosen = Runs(
            kept,
            self.metrics[self.metrics["run"].isin(ids)],
            self.evaluations[self.evaluations["run"].isin(ids)],
            tuple(note for note in self.notes if any(run in note for run in ids)),
            rule=self.rule,
            flaws=tuple(flaw for flaw in self.flaws if flaw.run in ids),
        )
        # The same runs have the same numbers, whatever their arms are called.
        object.__setattr__(chosen, "_remembered", self._remembered)
        return chosen

    def remembered(self, what: Hashable, arm: ArmName, compute: Callable[[], Result]) -> Result:
        """A result that depends on the numbers of an arm's runs and on nothing else. It is computed once.

        These runs, and all that `only` chooses of them, share their results.

        Args:
            what: names the result, and says all that it depends on besides the runs.
            arm: the arm.
            compute: computes the result, which nobody may change.
        """
        key = (what, tuple(record.id for record in self.arms[arm]))
        if key not in self._remembered:
            self._remembered[key] = compute()
        found: Result = self._remembered[key]
        return found

    def series(self, arm: ArmName, name: str) -> pd.DataFrame:
        """A metric of an arm: index step, one column per run that logs it; NaN for steps that a run lacks."""
        return self.remembered(("series", name), arm, lambda: self._series(arm, name))

    def counts(self, arm: ArmName) -> pd.DataFrame:
        """Evaluation counts of an arm's runs."""
        return self.remembered("counts", arm, lambda: self._counts_of(arm))

    def has(self, name: str) -> bool:
        """Whether any run has logged the metric."""
        return name in self._rows

    def _series(self, arm: ArmName, name: str) -> pd.DataFrame:
        wide = self._wide.get(name)
        if wide is None:
            wide = self._wide[name] = _pivoted(self.metrics.take(self._rows.get(name, np.empty(0, np.int64))))
        columns = [record.id for record in self.arms[arm] if record.id in wide.columns]
        return wide[columns].dropna(how="all")

    def _counts_of(self, arm: ArmName) -> pd.DataFrame:
        rows = [self._counts[record.id] for record in self.arms[arm] if record.id in self._counts]
        return self.evaluations.take(np.concatenate([np.empty(0, np.int64), *rows]))

    @cached_property
    def _rows(self) -> Mapping[str, npt.NDArray[np.int64]]:
        groups = self.metrics.groupby("name", sort=False, observed=True).indices
        return {str(name): np.asarray(rows, dtype=np.int64) for name, rows in groups.items()}

    @cached_property
    def _counts(self) -> Mapping[str, npt.NDArray[np.int64]]:
        groups = self.evaluations.groupby("run", sort=False, observed=True).indices
        return {str(run): np.asarray(rows, dtype=np.int64) for run, rows in groups.items()}

    @cached_property
    def _wide(self) -> dict[str, pd.DataFrame]:
        return {}


def _pivoted(rows: pd.DataFrame) -> pd.DataFrame:
    """A metric's values: one row per step, one column per run, in order; of several at a step the last counts."""
    rows = rows[rows["value"].notna()]
    steps, at = np.unique(rows["step"].to_numpy(dtype=np.int64), return_inverse=True)
    numbers, runs = pd.factorize(rows["run"].astype("str"), sort=True)
    values = np.full((len(runs), len(steps)), np.nan)
    values[numbers, at] = rows["value"].to_numpy(dtype=np.float64)
    return pd.DataFrame(values.T, pd.Index(steps, name="step"), pd.Index(runs, dtype="str", name="run"))


def _categorical(names: "pd.Series[Any]") -> "pd.Series[Any]":
    """Names as categories in sorted order. Figures group by them hundreds of times, and text is slow to group by."""
    return names if isinstance(names.dtype, pd.CategoricalDtype) else names.astype("category")
