"""Slurm's queue of job arrays: which element starts next, first come, first served within each array's throttle."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Array:
    """A job array.

    Attributes:
        throttle: elements side by side; None: all.
        waiting: numbers of runs, in order.
        running: elements that run.
        is_listed: whether the queue looks at it.
    """

    throttle: int | None
    waiting: deque[int]
    running: int = 0
    is_listed: bool = False

    @property
    def may_start(self) -> bool:
        """Whether an element waits that the throttle lets start."""
        return bool(self.waiting) and (self.throttle is None or self.running < self.throttle)


@dataclass
class Queue:
    """The user's jobs.

    Attributes:
        size: elements that wait or run.
        running: elements that run.
    """

    size: int = 0
    running: int = 0
    _listed: deque[Array] = field(default_factory=deque)
    _array_of: dict[int, Array] = field(default_factory=dict)

    def submit(self, runs: Iterable[int], throttle: int | None) -> None:
        """A new array."""
        array = Array(throttle, deque(runs))
        self._array_of.update(dict.fromkeys(array.waiting, array))
        self.size += len(array.waiting)
        self._list(array)

    def next(self) -> int | None:
        """The run whose job is to start; None where none may. `started` takes it out."""
        while self._listed:
            array = self._listed[0]
            if array.may_start:
                return array.waiting[0]
            array.is_listed = False
            self._listed.popleft()
        return None

    def started(self, run: int) -> None:
        """The run that `next` gave has started."""
        array = self._array_of[run]
        array.waiting.popleft()
        array.running += 1
        self.running += 1

    def requeued(self, run: int) -> None:
        """A running job waits again, behind its array's others."""
        array = self._array_of[run]
        array.running -= 1
        self.running -= 1
        array.waiting.append(run)
        self._list(array)

    def ended(self, run: int) -> None:
        """A running job has left the queue."""
        array = self._array_of.pop(run)
        array.running -= 1
        self.running -= 1
        self.size -= 1
        self._list(array)

    def _list(self, array: Array) -> None:
        if not array.is_listed and array.may_start:
            array.is_listed = True
            self._listed.append(array)
