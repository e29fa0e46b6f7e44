"""Jobs of other users that stand above ours: they take idle nodes, and preempt for the rest."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.scale.model.nodes import Nodes, Use


@dataclass(slots=True)
class _Job:
    number: int
    wanted: int
    duration: int
    nodes: list[int] = field(default_factory=list)
    is_running: bool = False


@dataclass
class Urgents:
    """Urgent jobs.

    Attributes:
        nodes: of the cluster.
        at: has a function called at a time, milliseconds.
        preempt: has a run of ours end; how many nodes will come, 0 where no run is left.
        free: takes nodes back.
        coming: nodes of preempted runs that are ending.
    """

    nodes: Nodes
    at: Callable[[int, Callable[[int], None]], None]
    preempt: Callable[[], int]
    free: Callable[[list[int]], None]
    coming: int = 0
    _waiting: deque[_Job] = field(default_factory=deque)
    _jobs: dict[int, _Job] = field(default_factory=dict)
    _arrived: int = 0

    def arrive(self, now: int, nodes: int, duration: int) -> None:
        """A job wants so many nodes for so long."""
        self._arrived += 1
        job = _Job(self._arrived, nodes, duration)
        self._jobs[job.number] = job
        self._waiting.append(job)
        self.serve(now)

    def serve(self, now: int) -> None:
        """Give idle nodes to those who wait, and have as many come as they lack."""
        while self._waiting and self.nodes.idle:
            job = self._waiting[0]
            count = min(job.wanted - len(job.nodes), self.nodes.idle)
            job.nodes += self.nodes.take(now, count, Use.URGENT, job.number)
            if len(job.nodes) == job.wanted:
                self._waiting.popleft()
                self._run(now, job)
        lacking = sum(job.wanted - len(job.nodes) for job in self._waiting)
        while self.coming < lacking and (count := self.preempt()):
            self.coming += count

    def fail(self, now: int, node: int) -> list[int]:
        """A node of a job fails. One that runs ends, one that waits lacks the node; the nodes that come back."""
        job = self._jobs[self.nodes.holder(node)]
        job.nodes.remove(node)
        if not job.is_running:
            return []
        self.nodes.pass_to(now)
        del self._jobs[job.number]
        return job.nodes

    def _run(self, now: int, job: _Job) -> None:
        job.is_running = True

        def leave(_: int) -> None:
            if self._jobs.pop(job.number, None) is not None:
                self.free(job.nodes)

        self.at(now + job.duration, leave)
