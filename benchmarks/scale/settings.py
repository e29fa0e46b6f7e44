"""What a simulated sweep is: the work, the cluster, what breaks, what the user chose."""

from dataclasses import dataclass

from slurm.queue.client import Limits

DAY = 86_400.0
HOUR = 3_600.0


@dataclass(frozen=True)
class Work:
    """A run.

    Attributes:
        nodes: that a run computes on.
        steps: global steps of a run.
        step_seconds: wall time of a step.
        checkpoint_seconds: in which training waits for a checkpoint.
        start_seconds: from a job's start to its first step, the reading of a checkpoint included.
        walltime_seconds: time limit of a job; None for none.
    """

    nodes: int
    steps: int
    step_seconds: float
    checkpoint_seconds: float
    start_seconds: float
    walltime_seconds: int | None


@dataclass(frozen=True)
class Site:
    """A cluster.

    Attributes:
        nodes: of the partition.
        gpus_per_node: GPUs of a node.
        limits: jobs that it takes at once.
        notice_seconds: until Slurm takes a silent node for down (SlurmdTimeout).
        grace_seconds: from TERM to KILL of a preempted job (KillWait, and GraceTime where a partition has one).
    """

    nodes: int
    gpus_per_node: int
    limits: Limits
    notice_seconds: float = 300.0
    grace_seconds: float = 30.0


@dataclass(frozen=True)
class Hazards:
    """What breaks, per day; all of it at exponential intervals.

    Attributes:
        name: for tables.
        node_failures: of a node, per day.
        crashes: of a run's software, per day and node that it computes on.
        repair_hours: that a failed node is away.
        drains: of a node for maintenance, per day; its job ends first.
        drain_hours: that maintenance takes.
        urgent_jobs: of other users that preempt ours, per day.
        urgent_nodes: that each of them takes.
        urgent_hours: mean time that they take.
    """

    name: str
    node_failures: float = 0.0
    crashes: float = 0.0
    repair_hours: float = 24.0
    drains: float = 0.0
    drain_hours: float = 4.0
    urgent_jobs: float = 0.0
    urgent_nodes: int = 1
    urgent_hours: float = 4.0


@dataclass(frozen=True)
class Choices:
    """What the user sets.

    Attributes:
        save_freq: steps between checkpoints, at least 1 (`trainer.save_freq`).
        throttle: runs side by side (`slurm.throttle`); None: all.
        relaunch_hours: until somebody gives the same command again after a launch has ended with runs to go on.
    """

    save_freq: int
    throttle: int | None = None
    relaunch_hours: float = 1.0


@dataclass(frozen=True)
class Scenario:
    """A sweep to simulate.

    Attributes:
        runs: of the sweep.
    """

    runs: int
    work: Work
    site: Site
    hazards: Hazards
    choices: Choices

    @property
    def failures_per_run_day(self) -> float:
        """Kills of a running run by nodes and software, per day; preemptions come on top."""
        return self.work.nodes * (self.hazards.node_failures + self.hazards.crashes)


# The Llama 3 Herd of Models (arXiv 2407.21783), table 5: 419 unexpected interruptions of a job on 16,384 GPUs, 2,048
# nodes, in 54 days; 54 of them were software.
_LLAMA = 419 / 54 / 2_048
_SOFTWARE = 54 / 419
# Kokolis et al., Revisiting Reliability in Large-Scale Machine Learning Research Clusters (arXiv 2410.21680): failures
# per node-day of their two clusters, and the mean time to failure, 7.9 hours, that jobs of 1,024 GPUs had on the first.
# Such a job fails nearly four times as often as its nodes do.
_RSC_1, _RSC_2 = 6.50e-3, 2.34e-3
_RSC_1_OF_JOBS = 24 / 7.9 / 128
# No publication gives these; docs/scale.md says so.
_DRAINS = 1 / 60


def of_rate(name: str, per_node_day: float) -> Hazards:
    """Failures at a published rate, software's share of them as with Llama 3."""
    return Hazards(name, per_node_day * (1 - _SOFTWARE), per_node_day * _SOFTWARE, drains=_DRAINS)


RSC_2 = of_rate("RSC-2, 2.34", _RSC_2)
LLAMA_3 = of_rate("Llama 3, 3.79", _LLAMA)
RSC_1 = of_rate("RSC-1, 6.50", _RSC_1)
RSC_1_JOBS = of_rate("RSC-1 jobs, 23.7", _RSC_1_OF_JOBS)
