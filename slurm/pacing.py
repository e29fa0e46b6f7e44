"""When a launcher that follows runs looks at their states, and when at the queue."""

from dataclasses import dataclass

# squeue is asked soon after something has changed and ever more rarely while nothing does.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 2.0, 30.0, 1.5
_SHORTEST_REST = 0.25
_STATES_A_SECOND = 500  # state files looked at; each is a question to the file server
# One answer without a job may be a moment between two entries of a queue.
MISSING_ANSWERS = 2


@dataclass(frozen=True)
class Looks:
    """When the queue is looked at.

    Attributes:
        next: time of the next look, in seconds of any clock.
        pause: seconds between the look before and that one.
    """

    next: float
    pause: float

    @classmethod
    def begun(cls, now: float) -> "Looks":
        """For a launcher that begins to follow."""
        return cls(now + _FIRST_PAUSE, _FIRST_PAUSE)

    def after_change(self, now: float) -> "Looks":
        """A run's status has changed."""
        return Looks(min(self.next, now + _FIRST_PAUSE), _FIRST_PAUSE)

    def after_look(self, now: float) -> "Looks":
        """The queue was looked at."""
        pause = min(_GROWTH * self.pause, _LONGEST_PAUSE)
        return Looks(now + pause, pause)


def rest_seconds(runs: int) -> float:
    """Seconds between two looks at the states of so many runs."""
    return max(_SHORTEST_REST, runs / _STATES_A_SECOND)
