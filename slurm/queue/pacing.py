"""How often a launcher reads its runs' states and the queue, and when it submits runs that found no room.

docs/scale.md has what these numbers come to with many runs.
"""

from dataclasses import dataclass

# squeue is asked soon after something has changed and ever more rarely while nothing does. State files tell what became
# of a run; the queue tells only of a job that died without a word, and its answer is as long as the queue.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 2.0, 30.0, 1.5
_RUNS_A_SECOND_OF_PAUSE = 50
_SHORTEST_REST = 0.25
_STATES_A_SECOND = 500  # state files looked at; each is a question to the file server
# One answer without a job may be a moment between two entries of a queue.
MISSING_ANSWERS = 2
_SHARES = 10
_SHORTEST_BETWEEN_ROUNDS, _LONGEST_BETWEEN_ROUNDS = 60.0, 3_600.0


@dataclass(frozen=True)
class Looks:
    """When the queue is looked at.

    Attributes:
        next: time of the next look, in seconds of any clock.
        pause: seconds between the look before and that one.
        first: seconds to a look after something has changed.
    """

    next: float
    pause: float
    first: float

    @classmethod
    def begun(cls, now: float, runs: int) -> "Looks":
        """For a launcher that begins to follow so many runs."""
        first = min(max(_FIRST_PAUSE, runs / _RUNS_A_SECOND_OF_PAUSE), _LONGEST_PAUSE)
        return cls(now + first, first, first)

    def after_change(self, now: float) -> "Looks":
        """A run's status has changed."""
        return Looks(min(self.next, now + self.first), self.first, self.first)

    def after_look(self, now: float) -> "Looks":
        """The queue was looked at."""
        pause = min(_GROWTH * self.pause, _LONGEST_PAUSE)
        return Looks(now + pause, pause, self.first)


def rest_seconds(runs: int) -> float:
    """Seconds between two looks at the states of so many runs."""
    return max(_SHORTEST_REST, runs / _STATES_A_SECOND)


def is_worth_a_round(submit: int | None, queued: int, pending: int, since: float) -> bool:
    """Whether runs that found no room are to be submitted again.

    A round asks Slurm several questions and reads the state of each of these runs, for an array of as many jobs as have
    room. So it waits for a tenth of the limit, or until none of the user's jobs waits. The queue may list jobs that the
    limit does not count: there is a round every hour in any case.

    Args:
        submit: jobs that the user may have in the queue; None where nobody says.
        queued: jobs there that count.
        pending: those of them that wait.
        since: seconds since the round before.
    """
    if submit is None:
        return since >= _SHORTEST_BETWEEN_ROUNDS
    free = submit - queued
    if free > 0 and pending == 0:
        return True
    # sbatch may refuse what the queue's list leaves room for, where others share the limit.
    is_due = since >= _SHORTEST_BETWEEN_ROUNDS and free >= max(1, submit // _SHARES)
    return is_due or since >= _LONGEST_BETWEEN_ROUNDS
