"""Slurm's states of a job, all of them, and what each means for its run."""

from enum import Enum, StrEnum


class Phase(StrEnum):
    """What a state means for the run."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


class JobState(Enum):
    """A state, named as squeue and sacct do: its phase, and what it means in a few words.

    Some states are over in accounting while the job waits in the queue again (a job that was preempted, or whose node
    failed, has both): only a job that the queue does not list is judged by an accounting record.
    """

    PENDING = (Phase.WAITING, "waits for resources")
    REQUEUED = (Phase.WAITING, "is queued again")
    REQUEUE_FED = (Phase.WAITING, "is queued again by the federation")
    REQUEUE_HOLD = (Phase.WAITING, "is queued again and held")
    RESV_DEL_HOLD = (Phase.WAITING, "is held, as its reservation was deleted")
    SPECIAL_EXIT = (Phase.WAITING, "is queued again and held, as its exit code asked for")
    CONFIGURING = (Phase.RUNNING, "waits for its nodes to boot")
    POWER_UP_NODE = (Phase.RUNNING, "waits for its nodes to power up")
    RUNNING = (Phase.RUNNING, "runs")
    EXPEDITING = (Phase.RUNNING, "is queued again with the highest priority")
    COMPLETING = (Phase.RUNNING, "is ending")
    SIGNALING = (Phase.RUNNING, "is being sent a signal")
    RESIZING = (Phase.RUNNING, "changes its size")
    STAGE_OUT = (Phase.RUNNING, "copies its files")
    STOPPED = (Phase.RUNNING, "is stopped and keeps its nodes")
    SUSPENDED = (Phase.RUNNING, "is suspended")
    UPDATE_DB = (Phase.RUNNING, "is being recorded")
    # What a newer Slurm may say: not over, as far as anybody knows.
    UNKNOWN = (Phase.RUNNING, "is in a state that this version does not know")
    COMPLETED = (Phase.OVER, "ended without an error")
    FAILED = (Phase.OVER, "failed")
    CANCELLED = (Phase.OVER, "was cancelled")
    TIMEOUT = (Phase.OVER, "was killed at its time limit")
    DEADLINE = (Phase.OVER, "was killed at its deadline")
    PREEMPTED = (Phase.OVER, "was preempted and not queued again")
    NODE_FAIL = (Phase.OVER, "lost its node and was not queued again")
    BOOT_FAIL = (Phase.OVER, "had a node that did not boot")
    LAUNCH_FAILED = (Phase.OVER, "could not be started on its node")
    RECONFIG_FAIL = (Phase.OVER, "had a node that could not be reconfigured")
    OUT_OF_MEMORY = (Phase.OVER, "was killed for using more memory than resources.memory gives")
    REVOKED = (Phase.OVER, "was taken over by another cluster of the federation")

    @classmethod
    def parse(cls, text: str) -> "JobState":
        """A state as Slurm prints it, such as ``RUNNING``, ``CANCELLED by 1000`` or ``CANCELLED+``."""
        return cls.__members__.get(text.strip().partition(" ")[0].rstrip("+").upper(), cls.UNKNOWN)

    @property
    def phase(self) -> Phase:
        """What the state means for the run."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What it says of a job: "it …"."""
        return self.value[1]

    @property
    def is_over(self) -> bool:
        """Whether such a job runs no more, unless the queue lists it."""
        return self.phase is Phase.OVER
