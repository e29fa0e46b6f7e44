"""A run in the model, and what its attempts cost."""

from dataclasses import dataclass, field
from enum import Enum, auto

from benchmarks.scale.model.course import Course, Reached
from qae.run_directory import RunState


class Why(Enum):
    """How an attempt ends that no node fails under."""

    COMPLETE = auto()
    WARNED = auto()  # before the time limit: it ends after its step
    AT_LIMIT = auto()  # killed, as the step did not fit into the warning
    PREEMPTED = auto()  # it ends after its step
    AT_GRACE = auto()  # preempted and killed, as the step did not fit into the grace time
    CRASHED = auto()


@dataclass(slots=True)
class Run:
    """A run and its job.

    Attributes:
        number: in the sweep.
        state: what its state.json says; the toolkit's functions write it.
        saved: step of its newest complete checkpoint.
        restarts: how often Slurm has started its job again.
        leased_until: when the lease of a killed attempt runs out, milliseconds.
        nodes: that its job has.
        began: start of the attempt.
        ends: planned end of the attempt.
        course: of the attempt; None before the first.
        goal: where the attempt stands at a planned stop; None where it is not to stop.
        token: counts plans of the attempt's end; an event with an older one is void.
        vacates: nodes that a preemption waits for.
        is_computing: whether its processes live.
    """

    number: int
    state: RunState = field(default_factory=RunState)
    saved: int = 0
    restarts: int = 0
    leased_until: int = 0
    nodes: list[int] = field(default_factory=list)
    began: int = 0
    ends: int = 0
    course: Course | None = None
    goal: Reached | None = None
    token: int = 0
    vacates: int = 0
    is_computing: bool = False


@dataclass
class Spent:
    """Node milliseconds of the sweep's jobs, by what became of them.

    Attributes:
        useful: steps that no later attempt repeated.
        checkpoints: waiting for checkpoints.
        starts: from a job's start to its first step.
        lost: steps, whole or in part, that came to nothing.
        hanging: nodes of a job that has lost one, until Slurm notices.
    """

    useful: int = 0
    checkpoints: int = 0
    starts: int = 0
    lost: int = 0
    hanging: int = 0

    def add(self, course: Course, elapsed: int, reached: Reached, nodes: int) -> None:
        """Count an attempt that ended after so long."""
        useful = (reached.saved - course.first) * course.step
        starts = min(elapsed, course.start)
        self.useful += nodes * useful
        self.starts += nodes * starts
        self.checkpoints += nodes * reached.dumping
        self.lost += nodes * (elapsed - starts - useful - reached.dumping)

    @property
    def wasted(self) -> int:
        """All but the useful."""
        return self.checkpoints + self.starts + self.lost + self.hanging

    @property
    def all(self) -> int:
        """Useful and wasted."""
        return self.useful + self.wasted
