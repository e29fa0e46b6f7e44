"""The study of a search: its settings with intervals, which parameters matter, which settings no other one beats."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from analysis import statistics
from analysis.sources import run_store
from analysis.statistics.intervals import Estimate
from analysis.statistics.seeds import Mean
from analysis.table import last_common_evaluation
from qae import metrics
from qae.console import terminal
from qae.console.literal import LiteralTable, literal
from qae.console.text import brief
from qae.files import search_record
from qae.files.search_record import StudyNote, TrialNote

_PASS = "pass_at_"  # noqa: S105  # of an objective's name
_FEWEST_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class Setting:
    """A setting that was judged.

    Attributes:
        trials: numbers of the trials that proposed it.
        overrides: what it sets.
        state: of the first of these trials: complete, pruned, fail or running.
        seeds: runs that its numbers rest on.
        values: one an objective, as the sampler was told; empty where it was told none.
        estimates: the same with intervals, from the runs; None where there is none.
        feasible: whether it keeps the constraints.
        on_front: whether no other one is at least as good in every objective and better in one.
        note: why it ended early, or that its runs were there before; "" for neither.
    """

    trials: tuple[int, ...]
    overrides: tuple[str, ...]
    state: str
    seeds: int
    values: tuple[float, ...]
    estimates: tuple[Estimate | Mean | None, ...]
    feasible: bool
    on_front: bool
    note: str


@dataclass(frozen=True)
class StudyResult:
    """What a study holds.

    Attributes:
        name: of the search.
        objectives: names; all are maximised.
        seeds: run seeds that settings are judged by.
        settings: the best first; with several objectives the front first.
        importances: share of the variance of each objective that a parameter explains (PED-ANOVA), by objective and
            parameter; empty where there are too few settings, or one parameter.
    """

    name: str
    objectives: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: tuple[Setting, ...]
    importances: Mapping[str, Mapping[str, float]]


def names(root: Path) -> list[str]:
    """Searches of a run store, by name."""
    return sorted(path.parent.name for path in (root / search_record.FOLDER).glob("*/journal.log"))


def load(root: Path, name: str) -> optuna.Study:
    """The study as Optuna has it.

    Raises:
        KeyError: the journal holds no such study yet.
        ValueError: the journal cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(search_record.journal(root, name))))
    return optuna.load_study(study_name=name, storage=storage)


def read(root: Path, name: str) -> StudyResult:
    """Read a search's study and its runs.

    Raises:
        KeyError: the journal holds no such study yet.
        ValueError: the journal cannot be read.
    """
    study = load(root, name)
    definition = study.user_attrs.get(StudyNote.DEFINITION, {})
    objectives = tuple(definition.get("objectives", ()))
    trials = [trial for trial in study.get_trials(deepcopy=False) if TrialNote.OVERRIDES in trial.user_attrs]
    front = {trial.number for trial in study.best_trials} if _complete(trials) else set()
    judged = _Judged.load(root, trials)
    settings = [_setting(group, objectives, judged, front) for group in _by_overrides(trials)]
    settings.sort(key=lambda one: (one.state == "complete", one.on_front, one.feasible, one.values), reverse=True)
    return StudyResult(
        name=name,
        objectives=objectives,
        seeds=tuple(definition.get("seeds", ())),
        settings=tuple(settings),
        importances=_importances(study, trials, objectives),
    )


def show(root: Path, name: str, console: Console, most: int) -> None:
    """Print a study.

    Args:
        root: of the run store.
        name: of the search.
        console: where to.
        most: settings to show.

    Raises:
        KeyError: the journal holds no such study yet.
        ValueError: the journal cannot be read.
    """
    found = read(root, name)
    terminal.show(console, _table(found, most), ("front", "trials", "state", "seeds"), "--json has them")
    console.print(literal(_caption(found), "dim"))
    for objective, shares in found.importances.items():
        words = ", ".join(f"{parameter} {share:.0%}" for parameter, share in shares.items())
        console.print(literal(f"Importance for {objective}: {words}."))


@dataclass(frozen=True)
class _Judged:
    """Numbers of the runs of a study: whole evaluations, and the peak entropy of each run."""

    counts: pd.DataFrame
    peaks: Mapping[str, float]

    @classmethod
    def load(cls, root: Path, trials: Sequence[FrozenTrial]) -> "_Judged":
        ids = dict.fromkeys(run for trial in trials for run in trial.user_attrs.get(TrialNote.RUNS, {}).values())
        runs = run_store.load(root, list(ids))
        entropy = runs.metrics[runs.metrics["name"] == metrics.ENTROPY.name]
        peaks = entropy.groupby("run", observed=True)["value"].max()
        return cls(statistics.whole_evaluations(runs.evaluations), {str(run): float(v) for run, v in peaks.items()})

    def estimate(self, objective: str, runs: Sequence[str]) -> Estimate | Mean | None:
        """An objective of some runs with its 95 % interval."""
        if not objective.startswith(_PASS):
            peaks = [-self.peaks[run] for run in runs if run in self.peaks]
            return statistics.mean_over_seeds(peaks) if peaks else None
        counts = self.counts[self.counts["run"].isin(runs)]
        step = last_common_evaluation(counts)
        return statistics.pass_at_k_estimate(counts, step, int(objective.removeprefix(_PASS)))


def _by_overrides(trials: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    groups: dict[tuple[str, ...], list[FrozenTrial]] = {}
    for trial in trials:
        groups.setdefault(tuple(trial.user_attrs[TrialNote.OVERRIDES]), []).append(trial)
    return [sorted(group, key=_weight, reverse=True) for group in groups.values()]


def _weight(trial: FrozenTrial) -> tuple[bool, int]:
    """Of several trials of a setting the one with the most seeds speaks for it."""
    return trial.state is TrialState.COMPLETE, len(trial.user_attrs.get(TrialNote.RUNS, {}))


def _setting(group: Sequence[FrozenTrial], objectives: Sequence[str], judged: _Judged, front: set[int]) -> Setting:
    trial = group[0]
    notes = trial.user_attrs
    complete = trial.state is TrialState.COMPLETE
    runs = list(notes.get(TrialNote.RUNS, {}).values())
    reason = notes.get(TrialNote.ENDING, {}).get("reason") or notes.get(TrialNote.SPARED)
    reason = reason or ("was there before" if notes.get(TrialNote.WARM) else "")
    return Setting(
        trials=tuple(sorted(one.number for one in group)),
        overrides=tuple(notes[TrialNote.OVERRIDES]),
        state=trial.state.name.lower(),
        seeds=len(runs),
        values=tuple(trial.values) if complete else (),
        estimates=tuple(judged.estimate(one, runs) if complete else None for one in objectives),
        feasible=all(violation <= 0 for violation in notes.get(TrialNote.CONSTRAINTS, ())),
        on_front=any(one.number in front for one in group),
        note=str(reason),
    )


def _complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def _importances(
    study: optuna.Study, trials: Sequence[FrozenTrial], objectives: Sequence[str]
) -> dict[str, dict[str, float]]:
    complete = _complete(trials)
    if len(complete) < _FEWEST_FOR_IMPORTANCE or len(complete[0].params) < 2:
        return {}
    found: dict[str, dict[str, float]] = {}
    for place, objective in enumerate(objectives):

        def value(trial: FrozenTrial, place: int = place) -> float:
            return float(trial.values[place])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental, and that few trials say little, which the caption says
            try:
                found[objective] = optuna.importance.get_param_importances(study, target=value)
            except (RuntimeError, ValueError):
                continue  # all settings are equally good
    return found


def _table(found: StudyResult, most: int) -> LiteralTable:
    several = len(found.objectives) > 1
    table = LiteralTable(title=f"Search '{found.name}'")
    table.add_column("setting", overflow="fold")
    for objective in found.objectives:
        table.add_column(objective, no_wrap=True)
    table.add_column("seeds", justify="right")
    table.add_column("trials")
    if several:
        table.add_column("front")
    table.add_column("state", overflow="fold")
    for one in found.settings[:most]:
        state = ", ".join(word for word in (one.state, "" if one.feasible else "breaks a constraint", one.note) if word)
        table.add_row(
            brief(" ".join(_short(override) for override in one.overrides)),
            *(_cell(one, place) for place in range(len(found.objectives))),
            str(one.seeds),
            ", ".join(map(str, one.trials[:4])) + (" …" if len(one.trials) > 4 else ""),
            *(["yes" if one.on_front else ""] if several else []),
            brief(state),
        )
    return table


def _short(override: str) -> str:
    key, _, value = override.partition("=")
    return f"{key.lstrip('+').rsplit('.', 1)[-1]}={value}"


def _cell(one: Setting, place: int) -> str:
    if not one.values:
        return "—"
    estimate = one.estimates[place]
    if estimate is None or (isinstance(estimate, Mean) and estimate.seeds == 1):
        return f"{one.values[place]:.3f}"
    return f"{one.values[place]:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _caption(found: StudyResult) -> str:
    states = pd.Series([one.state for one in found.settings]).value_counts(sort=False)
    counts = ", ".join(f"{number} {state}" for state, number in states.items()) or "none yet"
    seeds = ", ".join(map(str, found.seeds))
    return (
        f"{len(found.settings)} settings ({counts}), judged on seeds {seeds}. [ ]: 95 % intervals, for pass@k by "
        "bootstrap over problems and seeds (one seed: over problems only), for entropy Student t over seeds. The best "
        "of many is also the luckiest: run the winner on fresh seeds before you report it."
    )
