"""What is simulated for docs/scale.md: checkpoints more and less often, throttles, and ever more runs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.scale.model.outcome import Outcome
from benchmarks.scale.model.simulation import Simulation
from benchmarks.scale.settings import LLAMA_3, RSC_1, RSC_1_JOBS, RSC_2, Choices, Hazards, Scenario, Site, Work
from qae.nested import value_of
from slurm.queue.client import Limits
from slurm.request import pace_of
from slurm.time_limit import Pace, seconds
from sweeps import trainers
from sweeps.launching.plan import Job, make_plan
from sweeps.run_store.store import RunStore
from tests.support.configs import verl_mapping

MODELS = (
    "qwen3-8b-base",
    "qwen3-14b-base",
    "qwen2.5-32b",
    "qwen3-30b-a3b-base",
    "qwen3-8b-base-8gpus",
    "qwen3-8b-base-4gpus",
)
SAVE_FREQS = (1, 2, 3, 5, 8, 15, 30, 60, 150)
THROTTLES = (64, 128, 256, 384, 512, 768, None)
SIZES = (1_000, 10_000, 100_000)
# Assumed: what a node writes a second, of a checkpoint of 12 bytes a parameter, and how long verl takes to its first
# step.
_NODE_BYTES_A_SECOND, _BYTES_A_PARAMETER = 1e9, 12
_START_SECONDS = 600.0
# Assumed: runs of five hours on a node each, such as those of a small model.
SMALL = Work(1, steps=300, step_seconds=60, checkpoint_seconds=10, start_seconds=120, walltime_seconds=14_400)
_SMALL_SAVE_FREQ = 10
# MaxArraySize and MaxJobCount as slurm.conf(5) has them where nobody sets them.
SLURMS_LIMITS = Limits(array=1_001, submit=10_000)


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % Student-t interval.

    Attributes:
        value: the mean.
        reach: half of the interval's width.
    """

    value: float
    reach: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """The mean of at least two values."""
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
        return cls(float(np.mean(values)), float(stats.t.ppf(0.975, len(values) - 1)) * error)


@dataclass(frozen=True)
class Point:
    """A scenario and what came of it for each seed.

    Attributes:
        scenario: see `Scenario`.
        outcomes: one a seed.
        wall_seconds: that the simulation took for all seeds.
    """

    scenario: Scenario
    outcomes: Sequence[Outcome]
    wall_seconds: float

    def mean(self, value: Callable[[Outcome], float]) -> Mean:
        """A value's mean over the seeds."""
        return Mean.of([value(outcome) for outcome in self.outcomes])

    @property
    def kills_a_day(self) -> float:
        """How often a run was killed, a day that it held its nodes."""
        killed = sum(outcome.reasons.get(why, 0) for outcome in self.outcomes for why in ("node failure", *_KILLS))
        node_days = sum(outcome.spent.all for outcome in self.outcomes) / 86_400_000
        return killed * self.scenario.work.nodes / node_days


_KILLS = ("crashed", "at_grace", "at_limit")


def simulated(scenario: Scenario, seeds: int) -> Point:
    """A scenario under so many seeds."""
    began = time.perf_counter()
    outcomes = [Simulation(scenario, seed).outcome() for seed in range(seeds)]
    return Point(scenario, outcomes, time.perf_counter() - began)


@cache
def model(name: str) -> tuple[Work, Pace]:
    """A run of one of verl's models as it is planned, and its pace with the checkpoints that it has by default."""
    job = Job((), verl_mapping(f"model={name}", "sweep.dry_run=true"))
    (run,) = make_plan([job], RunStore(Path("no-store")), name="scale", retry=False).runs
    pace = pace_of(run)
    parameters, walltime = (value_of(run.config, f"resources.{key}") for key in ("parameters", "walltime"))
    assert pace is not None
    assert isinstance(parameters, float)
    nodes = trainers.of(run.config).nodes(run.config)
    checkpoint = _BYTES_A_PARAMETER * all_parameters(name, parameters) / (nodes * _NODE_BYTES_A_SECOND)
    limit = seconds(str(walltime))
    return Work(nodes, run.total_steps, pace.step_seconds, checkpoint, _START_SECONDS, limit), pace


def all_parameters(name: str, active: float) -> float:
    """All parameters of a model; a mixture of experts has more than a token passes (Qwen3-30B-A3B's model card)."""
    return 30.5e9 if name == "qwen3-30b-a3b-base" else active


def intervals(seeds: int) -> dict[str, list[Point]]:
    """Sixty runs of the 8B model on as many nodes as they need, by what breaks and by `SAVE_FREQS`."""
    work, pace = model("qwen3-8b-base")
    runs = 60
    site = Site(runs * work.nodes, pace.gpus // work.nodes, SLURMS_LIMITS)
    preempted = replace(
        RSC_1, name="RSC-1, preempted daily", urgent_jobs=runs, urgent_nodes=work.nodes, urgent_hours=1.0
    )
    return {
        hazards.name: [
            simulated(Scenario(runs, work, site, hazards, Choices(save_freq)), seeds) for save_freq in SAVE_FREQS
        ]
        for hazards in (RSC_2, LLAMA_3, RSC_1, RSC_1_JOBS, preempted)
    }


def contended(nodes: int) -> Hazards:
    """Failures as on RSC-1, and other users who take a sixth of a cluster every hour, each for two hours on average.

    Together they want a third of it on average, at first what is idle.
    """
    return replace(RSC_1, name="contended", urgent_jobs=24.0, urgent_nodes=nodes // 6, urgent_hours=2.0)


def throttles(seeds: int) -> list[Point]:
    """Three thousand small runs on 768 nodes, by throttle."""
    nodes = 768
    site = Site(nodes, 8, SLURMS_LIMITS)
    return [
        simulated(Scenario(3_000, SMALL, site, contended(nodes), Choices(_SMALL_SAVE_FREQ, throttle)), seeds)
        for throttle in THROTTLES
    ]


def sizes(most: int) -> list[Point]:
    """Small runs on 1,024 nodes of 8 GPUs, by their number; one seed, as the totals hardly vary."""
    nodes = 1_024
    site = Site(nodes, 8, SLURMS_LIMITS)
    return [
        simulated(Scenario(size, SMALL, site, contended(nodes), Choices(_SMALL_SAVE_FREQ)), 1)
        for size in SIZES
        if size <= most
    ]
