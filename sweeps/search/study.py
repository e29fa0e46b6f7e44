"""A study on disk that several processes search at once, any of which may be killed.

A trial is looked after by one process: it names its owner, and an owner holds a lock for as long as it lives. A trial
whose owner is gone is taken over, with the parameters that it has. Whoever asks or takes over does so in turn.
"""

import math
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from qae.errors import ConfigError
from qae.files import search_record
from qae.files.search_record import StudyNote, TrialNote
from qae.run_directory import RunDirectory
from sweeps.run_store.locking import exclusive, is_locked, leased
from sweeps.search import journal, samplers
from sweeps.search.settings import SamplerName, SearchSettings
from sweeps.search.space import Parameter, Value

_TURN_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Definition:
    """What a study is about; with another one it would be another study.

    Attributes:
        space: parameters.
        seeds: that every setting is judged by.
        fixed: identity of what all its runs have in common.
    """

    space: tuple[Parameter, ...]
    seeds: tuple[int, ...]
    fixed: Mapping[str, object] = field(default_factory=dict)

    def record(self, settings: SearchSettings) -> dict[str, object]:
        """As the study notes it."""
        return {
            "space": {one.name: optuna.distributions.distribution_to_json(one.distribution) for one in self.space},
            "seeds": list(self.seeds),
            "objectives": [objective.name for objective in settings.objectives],
            "fixed": dict(self.fixed),
        }


@dataclass(frozen=True)
class Asked:
    """A trial that this process looks after.

    Attributes:
        number: of the trial.
        parameters: its values by name.
        overrides: what it sets, one a parameter.
        runs: run ids by seed that it has already.
        ending: how it is to end early and why, where its last owner had decided so.
    """

    number: int
    parameters: Mapping[str, Value]
    overrides: tuple[str, ...]
    runs: Mapping[str, str]
    ending: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Warm:
    """A setting whose runs were there before.

    Attributes:
        parameters: its values by name.
        runs: run ids by seed.
        values: one value per objective.
        constraints: one number per bound.
    """

    parameters: Mapping[str, Value]
    runs: Mapping[str, str]
    values: Sequence[float]
    constraints: Sequence[float]


class SharedStudy:
    """The study of a search.

    Args:
        root: of the run store.
        name: of the search.
        definition: what it is about.
        settings: how to ask.
        total_steps: global steps of a run.
        owner: name of this process; see `owner`.

    Raises:
        ConfigError: the study on disk is about something else.
        OSError: the journal cannot be read or written.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        definition: Definition,
        settings: SearchSettings,
        total_steps: int,
        owner: RunDirectory,
    ) -> None:
        self._definition = definition
        self._settings = settings
        self._n_trials = settings.n_trials
        if settings.sampler is SamplerName.GRID:
            self._n_trials = min(settings.n_trials, math.prod(len(one.values or ()) for one in definition.space))
        self._owner = owner
        folder = search_record.folder(root, name)
        self._turn = journal.LinkLock(folder / "turn", _TURN_PATIENCE_SECONDS)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = journal.storage(search_record.journal(root, name))
        with self._turn.held():
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                load_if_exists=True,
                directions=["maximize"] * len(settings.objectives),
                pruner=samplers.pruner(settings, total_steps),
            )
            self._agree(name)

    def next_trial(self, *, may_ask: bool) -> Asked | None:
        """A trial whose owner is gone, or a new one; None where all are asked for.

        Args:
            may_ask: whether a new one may be asked for.
        """
        with self._turn.held():
            trials = self._study.get_trials(deepcopy=False)
            number = next((trial.number for trial in trials if self._is_orphan(trial)), None)
            own = sum(not trial.user_attrs.get(TrialNote.WARM, False) for trial in trials)
            if number is None and (not may_ask or own >= self._n_trials):
                return None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.sampler = samplers.sampler(
                    self._settings, self._definition.space, len(trials) if number is None else number
                )
                trial = self._study.ask() if number is None else self._again(trials[number])
                trial.set_user_attr(TrialNote.OWNER, self._owner.run_id)
                values = {one.name: _suggested(trial, one) for one in self._definition.space}
            overrides = tuple(one.override(values[one.name]) for one in self._definition.space)
            trial.set_user_attr(TrialNote.OVERRIDES, overrides)
            notes = trial.user_attrs
            return Asked(trial.number, values, overrides, notes.get(TrialNote.RUNS, {}), notes.get(TrialNote.ENDING))

    def note(self, number: int, note: TrialNote, value: object) -> None:
        """Write a note of a trial of this process."""
        self._again(self._trial(number)).set_user_attr(note, value)

    def report(self, number: int, values: Mapping[int, float]) -> bool:
        """Add intermediate values to a trial of this process.

        Args:
            number: of the trial.
            values: by step; steps that it has are left.

        Returns:
            whether the pruner would end it now.
        """
        found = self._trial(number)
        trial = self._again(found)
        for step in sorted(set(values) - set(found.intermediate_values)):
            trial.report(values[step], step)
        return trial.should_prune()

    def best_runs(self) -> Mapping[str, str]:
        """Run ids by seed of the best setting so far that keeps the constraints; none where there is none."""
        judged: dict[tuple[str, ...], FrozenTrial] = {}
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            setting = tuple(trial.user_attrs[TrialNote.OVERRIDES])
            keeps = all(violation <= 0 for violation in trial.user_attrs.get(TrialNote.CONSTRAINTS, ()))
            if keeps and (setting not in judged or _seeds(trial) >= _seeds(judged[setting])):
                judged[setting] = trial
        if not judged:
            return {}
        runs: Mapping[str, str] = max(judged.values(), key=lambda trial: trial.values[0]).user_attrs[TrialNote.RUNS]
        return runs

    def tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        """End a trial of this process.

        Args:
            number: of the trial.
            state: complete, pruned or failed.
            values: one an objective, for a complete one.
        """
        self._study.sampler = samplers.sampler(self._settings, self._definition.space, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.tell(number, values, state)

    def warm(self, settings: Sequence[Warm]) -> int:
        """Add settings whose runs are done as trials, each once; returns how many were added."""
        added = 0
        with self._turn.held():
            trials = self._study.get_trials(deepcopy=False)
            known = [tuple(trial.user_attrs.get(TrialNote.OVERRIDES, ())) for trial in trials]
            for setting in settings:
                overrides = tuple(one.override(setting.parameters[one.name]) for one in self._definition.space)
                if overrides not in known:
                    self._study.add_trial(self._warm_trial(setting, overrides))
                    added += 1
        return added

    def steps_planned(self, total_steps: int) -> int:
        """Training steps of all runs that trials of this study started or looked up."""
        trials = self._study.get_trials(deepcopy=False)
        own = [trial for trial in trials if not trial.user_attrs.get(TrialNote.WARM, False)]
        return total_steps * len({run for trial in own for run in trial.user_attrs.get(TrialNote.RUNS, {}).values()})

    def left(self) -> int:
        """Trials that may still be asked for."""
        trials = self._study.get_trials(deepcopy=False)
        return max(0, self._n_trials - sum(not t.user_attrs.get(TrialNote.WARM, False) for t in trials))

    def counts(self) -> Mapping[TrialState, int]:
        """How many trials there are, by state."""
        states = [trial.state for trial in self._study.get_trials(deepcopy=False)]
        return {state: states.count(state) for state in TrialState if state in states}

    def _agree(self, name: str) -> None:
        wanted = self._definition.record(self._settings)
        found = self._study.user_attrs.get(StudyNote.DEFINITION)
        if found is None:
            self._study.set_user_attr(StudyNote.DEFINITION, wanted)
        elif found != wanted:
            differ = ", ".join(key for key in wanted if found.get(key) != wanted[key])
            fix = f"the search of that name differs in {differ}; give this one another sweep.name"
            raise ConfigError("sweep.name", name, fix)

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        if trial.state is not TrialState.RUNNING:
            return False
        owner = trial.user_attrs.get(TrialNote.OWNER)
        if owner == self._owner.run_id:
            return False
        return owner is None or not is_locked(RunDirectory(self._owner.path.parent / owner))

    def _trial(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _again(self, trial: FrozenTrial) -> Trial:
        return Trial(self._study, trial._trial_id)

    def _warm_trial(self, setting: Warm, overrides: Sequence[str]) -> FrozenTrial:
        return create_trial(
            state=TrialState.COMPLETE,
            values=list(setting.values),
            params=dict(setting.parameters),
            distributions={one.name: one.distribution for one in self._definition.space},
            user_attrs={
                TrialNote.WARM: True,
                TrialNote.OVERRIDES: list(overrides),
                TrialNote.RUNS: dict(setting.runs),
                TrialNote.CONSTRAINTS: list(setting.constraints),
            },
            system_attrs={"constraints": list(setting.constraints)} if setting.constraints else {},
        )


@contextmanager
def owner(root: Path, name: str) -> Iterator[RunDirectory]:
    """A name for this process, and its lock while the block runs."""
    directory = RunDirectory(search_record.folder(root, name) / "owners" / uuid.uuid4().hex[:12])
    with exclusive(directory), leased(directory):
        yield directory


def _suggested(trial: Trial, one: Parameter) -> Value:
    """The value of a parameter: the one that the trial has, or the sampler's."""
    distribution: BaseDistribution = one.distribution
    match distribution:
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(one.name, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(one.name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(one.name, low, high, step=step, log=log)
    raise TypeError(f"{distribution} is no distribution of a search space")


def _seeds(trial: FrozenTrial) -> int:
    """How many runs a trial's numbers rest on."""
    return len(trial.user_attrs.get(TrialNote.RUNS, {}))
