"""The search itself: asked several times a second for runs, it tells what ended and asks for new settings.

It is the feed of a launch (`sweeps.launching.executor.Feed`), so it searches on any place to run. Results are read from
run directories; nothing that a trial needs is in this process alone.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.trial import TrialState

from qae.errors import ConfigError
from qae.files.search_record import TrialNote
from qae.run_directory import RunState, RunStatus
from sweeps.launching import tables
from sweeps.launching.plan import Action, PlannedRun
from sweeps.launching.watch import Watch
from sweeps.search import judging
from sweeps.search.measures import MeasureError, last_pass
from sweeps.search.planner import Planner
from sweeps.search.settings import PrunerName, SearchSettings
from sweeps.search.study import Asked, SharedStudy

# Once all trials are asked for, only those of a process that was killed are left to ask for.
_PAUSE_SECONDS = 5.0


@dataclass
class _Flight:
    """A trial under way.

    Attributes:
        asked: the trial.
        runs: its runs by seed, in order of start.
    """

    asked: Asked
    runs: dict[int, PlannedRun] = field(default_factory=dict)


class SearchLoop:
    """A feed that searches.

    Args:
        study: to ask and tell.
        planner: makes runs.
        settings: how to judge.
        seeds: of every setting.
        total_steps: of a run.
        say: where a sentence about each trial goes.

    Attributes:
        left: sentences on trials that this process gave up, by trial; the next one goes on with them.
        failed: why trials of this process failed, by trial.
        started: runs that this process started or followed.
    """

    def __init__(
        self,
        study: SharedStudy,
        planner: Planner,
        settings: SearchSettings,
        seeds: Sequence[int],
        total_steps: int,
        say: Callable[[str], None],
    ) -> None:
        self._study = study
        self._planner = planner
        self._settings = settings
        self._seeds = tuple(seeds)
        self._total_steps = total_steps
        self._say = say
        self._watch = Watch()
        self._evaluations = judging.Evaluations(settings.objectives[0].k or 1)
        self._flights: list[_Flight] = []
        self._pause = 0.0
        self.left: dict[int, str] = {}
        self.failed: dict[int, str] = {}
        self.started: list[PlannedRun] = []

    def __call__(self, failed: Mapping[str, str]) -> Sequence[PlannedRun] | None:
        """Look at every trial under way and ask for more; the runs to start, or None once all is told."""
        starting: list[PlannedRun] = []
        for flight in list(self._flights):
            starting += self._advance(flight, failed)
        while self._in_flight() < self._settings.n_jobs and (time.monotonic() >= self._pause or not self._flights):
            asked = self._study.next_trial(may_ask=self._affordable(self._at_once))
            if asked is None:
                self._pause = time.monotonic() + _PAUSE_SECONDS
                break
            starting += self._begin(asked)
        self.started += starting
        return starting if starting or self._flights else None

    @property
    def _at_once(self) -> int:
        """Seeds of a setting that start together: for a test after each seed, one."""
        return 1 if self._settings.pruner is PrunerName.WILCOXON else len(self._seeds)

    def _begin(self, asked: Asked) -> list[PlannedRun]:
        flight = _Flight(asked)
        self._flights.append(flight)
        known = [seed for seed in self._seeds if str(seed) in asked.runs]
        if asked.ending is not None:
            flight.runs = (
                dict(zip(known, self._planner.plan(asked.overrides, known).runs, strict=True)) if known else {}
            )
            self._end(flight, TrialState[asked.ending["as"].upper()], asked.ending["reason"])
            return []
        return self._start(flight, known or self._seeds[: self._at_once])

    def _start(self, flight: _Flight, seeds: Sequence[int]) -> list[PlannedRun]:
        """Make the runs of more seeds; those to start, and what follows where all are done already."""
        try:
            runs = self._planner.make(flight.asked.overrides, seeds)
        except ConfigError as error:  # of a combination that cannot run; the others may
            self._end(flight, TrialState.FAIL, str(error))
            return []
        flight.runs |= runs
        ids = {str(seed): run.run_id for seed, run in flight.runs.items()}
        self._study.note(flight.asked.number, TrialNote.RUNS, ids)
        starting = [run for run in runs.values() if run.action.runs or run.action is Action.FOLLOW]
        return starting + self._advance(flight, {})

    def _advance(self, flight: _Flight, failed: Mapping[str, str]) -> list[PlannedRun]:
        """Look at a trial; the runs to start for it."""
        states = {seed: self._watch.state(run.directory) for seed, run in flight.runs.items()}
        for seed, run in flight.runs.items():
            if reason := _ended_short(run, states[seed]):
                stopped = states[seed].status is not RunStatus.FAILED or states[seed].collapsed
                self._prune(flight, reason) if stopped else self._end(flight, TrialState.FAIL, reason)
                return []
            if reason := _left(run, states[seed], failed):
                self._flights.remove(flight)
                self.left[flight.asked.number] = reason
                return []
        if all(state.status is RunStatus.DONE for state in states.values()):
            return self._judge(flight)
        if self._settings.pruner.looks_at_steps:
            self._look(flight, states)
        return []

    def _judge(self, flight: _Flight) -> list[PlannedRun]:
        """All runs so far are done: tell, or start the next seed."""
        number, runs = flight.asked.number, flight.runs
        waiting = [seed for seed in self._seeds if seed not in runs]
        try:
            verdict = judging.verdict([run.directory for run in runs.values()], self._settings)
            wilcoxon = self._settings.pruner is PrunerName.WILCOXON
            worse = wilcoxon and bool(waiting) and self._is_worse(flight)
        except MeasureError as error:
            self._end(flight, TrialState.FAIL, str(error))
            return []
        # At first many settings are seen by one seed each; a good one is proposed again and gets its others then.
        first_look = wilcoxon and number < self._settings.startup_trials
        if waiting and not (worse or first_look) and self._affordable(1):
            return self._start(flight, waiting[:1])
        if waiting:
            reason = "no more steps (search.max_steps)"
            if first_look or worse:
                reason = "a first look" if first_look else "worse than the best by the Wilcoxon test"
            self._study.note(number, TrialNote.SPARED, f"{reason} after {len(runs)} of {len(self._seeds)} seeds")
        if self._settings.constraints:
            self._study.note(number, TrialNote.CONSTRAINTS, verdict.constraints)
        self._study.tell(number, TrialState.COMPLETE, verdict.values)
        shown = ", ".join(
            f"{objective.name} {value:.3f}"
            for objective, value in zip(self._settings.objectives, verdict.values, strict=True)
        )
        seeds = f"{len(runs)} of {len(self._seeds)} seeds" if waiting else tables.count(len(runs), "seed")
        self._ended(flight, f"{shown} ({seeds})")
        return []

    def _is_worse(self, flight: _Flight) -> bool:
        """Whether the best setting so far is better on the same seeds and problems."""
        best = self._study.best_runs()
        both = [seed for seed in flight.runs if str(seed) in best]
        if not both:
            return False
        store, k = self._planner.store, self._settings.objectives[0].k or 1
        ours = [value for seed in both for value in last_pass(flight.runs[seed].directory, k)]
        theirs = [value for seed in both for value in last_pass(store.directory(best[str(seed)]), k)]
        return judging.is_worse(ours, theirs, self._settings.pruner_p)

    def _look(self, flight: _Flight, states: Mapping[int, RunState]) -> None:
        """Report evaluations of runs under way, and end the trial where the pruner says so."""
        under_way = [
            run.directory
            for seed, run in flight.runs.items()
            if states[seed].status in (RunStatus.RUNNING, RunStatus.DONE) and states[seed].attempt
        ]
        try:
            reports = self._evaluations.common(under_way)
        except MeasureError as error:
            self._end(flight, TrialState.FAIL, str(error))
            return
        if reports and self._study.report(flight.asked.number, reports):
            self._prune(flight, f"pruned after step {max(reports)} ({self._settings.pruner})")

    def _prune(self, flight: _Flight, reason: str) -> None:
        several = len(self._settings.objectives) > 1  # of which Optuna prunes none
        self._end(flight, TrialState.FAIL if several else TrialState.PRUNED, reason)

    def _end(self, flight: _Flight, state: TrialState, reason: str) -> None:
        """End a trial early; its runs end after their current step, with a checkpoint."""
        number = flight.asked.number
        self._study.note(number, TrialNote.ENDING, {"as": state.name.lower(), "reason": reason})
        for run in flight.runs.values():
            if not self._watch.state(run.directory).status.is_final:
                run.directory.request_end(f"search {self._planner.name}, trial {number}: {reason}")
        self._study.tell(number, state)
        if state is TrialState.FAIL:
            self.failed[number] = reason
        self._ended(flight, reason if state is TrialState.PRUNED else f"failed: {reason}")

    def _ended(self, flight: _Flight, words: str) -> None:
        self._flights.remove(flight)
        self._say(f"Trial {flight.asked.number} {' '.join(flight.asked.overrides)}: {words}.")

    def _in_flight(self) -> int:
        return sum(
            self._watch.state(run.directory).status is not RunStatus.DONE
            for flight in self._flights
            for run in flight.runs.values()
        )

    def _affordable(self, runs: int) -> bool:
        limit = self._settings.max_steps
        return limit is None or self._study.steps_planned(self._total_steps) + runs * self._total_steps <= limit


def _ended_short(run: PlannedRun, state: RunState) -> str | None:
    """Why a run ended for good before its last step, since it was planned; None where it did not."""
    if state.status is RunStatus.CANCELLED and (reason := run.directory.requested_end()):
        return reason
    if state.status in (RunStatus.FAILED, RunStatus.STOPPED_BY_GUARD):
        fresh = state.attempt > run.state.attempt or run.action is Action.SKIP_FAILED
        return (state.reason or str(state.status)) if fresh else None
    return None


def _left(run: PlannedRun, state: RunState, failed: Mapping[str, str]) -> str | None:
    """Why an unfinished run does not go on by itself; None if it goes on."""
    if state.status is RunStatus.CANCELLED and state.attempt > run.state.attempt:
        return f"run {run.run_id}: {state.reason}"
    if run.run_id in failed and state.status is not RunStatus.DONE:
        return f"run {run.run_id}: {failed[run.run_id]}"
    return None
