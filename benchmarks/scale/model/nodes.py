"""Nodes: who holds each of them, and how long all of them were held by whom."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum


class Use(IntEnum):
    """What a node is doing."""

    IDLE = 0
    OURS = 1
    URGENT = 2
    DOWN = 3


@dataclass
class Nodes:
    """The nodes of a cluster.

    Attributes:
        count: of all nodes.
        spent: node milliseconds in each use, up to the last change.
    """

    count: int
    spent: list[int] = field(default_factory=lambda: [0] * len(Use))
    _uses: list[Use] = field(default_factory=list)
    _holders: list[int] = field(default_factory=list)
    _idle: dict[int, None] = field(default_factory=dict)
    _sizes: list[int] = field(default_factory=list)
    _now: int = 0

    def __post_init__(self) -> None:
        self._uses = [Use.IDLE] * self.count
        self._holders = [-1] * self.count
        self._idle = dict.fromkeys(range(self.count))
        self._sizes = [self.count, 0, 0, 0]

    @property
    def idle(self) -> int:
        """How many are idle."""
        return len(self._idle)

    def use(self, node: int) -> Use:
        """What a node is doing."""
        return self._uses[node]

    def holder(self, node: int) -> int:
        """The number of the run or of the urgent job on a node that has one."""
        return self._holders[node]

    def pass_to(self, now: int) -> None:
        """Count the time up to now."""
        passed = now - self._now
        if passed:
            for use, size in enumerate(self._sizes):
                self.spent[use] += size * passed
            self._now = now

    def take(self, now: int, count: int, use: Use, holder: int) -> list[int]:
        """Idle nodes for a job.

        Raises:
            KeyError: fewer are idle.
        """
        self.pass_to(now)
        taken = [self._idle.popitem()[0] for _ in range(count)]
        for node in taken:
            self._set(node, use, holder)
        return taken

    def put(self, now: int, nodes: Iterable[int], use: Use) -> None:
        """Nodes become idle, or go down.

        Args:
            now: milliseconds.
            nodes: in any use.
            use: idle or down.
        """
        self.pass_to(now)
        for node in nodes:
            if self._uses[node] is Use.IDLE:
                del self._idle[node]
            self._set(node, use, -1)
            if use is Use.IDLE:
                self._idle[node] = None

    def _set(self, node: int, use: Use, holder: int) -> None:
        self._sizes[self._uses[node]] -= 1
        self._sizes[use] += 1
        self._uses[node], self._holders[node] = use, holder
