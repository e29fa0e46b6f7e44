"""From a setting to runs of the store."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sweeps.launching.plan import Job, Plan, PlannedRun, make_plan
from sweeps.run_store.store import RunStore, label
from sweeps.worker import tracking

Compose = Callable[[Sequence[Sequence[str]]], Sequence[Mapping[str, object]]]


@dataclass(frozen=True)
class Planner:
    """Makes the runs that judge a setting.

    Attributes:
        compose: resolved configurations of lists of overrides.
        store: where runs are.
        name: of the search.
        fixed: overrides that hold for all runs.
        axes: those of them that say what is computed, for the sweep's list of runs.
        varying: keys that settings differ in.
        retry: whether failed runs are started again.
    """

    compose: Compose
    store: RunStore
    name: str
    fixed: tuple[str, ...]
    axes: tuple[str, ...]
    varying: tuple[str, ...]
    retry: bool

    def plans(self, settings: Sequence[Sequence[str]], seeds: Sequence[int]) -> list[Plan]:
        """The runs of settings, one a seed, as they stand; writes nothing.

        Args:
            settings: overrides of each.
            seeds: of every setting.

        Raises:
            ConfigError: a setting that could not run.
            StoreError: the store holds something that is no run state.
        """
        own = [(*overrides, f"seed={seed}") for overrides in settings for seed in seeds]
        configs = self.compose([(*self.fixed, *one) for one in own])
        tracked, _ = tracking.for_launch(configs, sys.argv)
        jobs = [Job((*self.axes, *one), config) for one, config in zip(own, tracked, strict=True)]
        return [self._plan(jobs[start : start + len(seeds)]) for start in range(0, len(jobs), len(seeds))]

    def plan(self, overrides: Sequence[str], seeds: Sequence[int]) -> Plan:
        """`plans` of one setting."""
        return self.plans([overrides], seeds)[0]

    def make(self, overrides: Sequence[str], seeds: Sequence[int]) -> Mapping[int, PlannedRun]:
        """The runs of a setting by seed, their directories made and written into the list of the sweep's runs."""
        plan = self.plan(overrides, seeds)
        for run in plan.runs:
            if run.action.runs:
                self.store.create(run.run_id, run.config)
        self.store.record_sweep(self.name, sys.argv, plan.manifest_runs)
        return dict(zip(seeds, plan.runs, strict=True))

    def _plan(self, jobs: Sequence[Job]) -> Plan:
        plan = make_plan(jobs, self.store, name=self.name, retry=self.retry)
        shown = dict.fromkeys((*self.varying, "seed"))
        return replace(plan, runs=tuple(replace(run, label=label(run.overrides, shown)) for run in plan.runs))
