"""What a job asks Slurm about itself: who told it to stop, and to be requeued."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from sweeps.worker.reasons import ExitReason

# Between TERM and KILL lie thirty seconds on most clusters; a controller that is restarting must not use them up.
_ANSWER_SECONDS = 8.0
_FIELD = re.compile(r"(\w+)=(\S*)")


@dataclass(frozen=True)
class OwnJob:
    """The job that this process is.

    Attributes:
        id: as Slurm's commands take it, ``1234_5`` for an element of an array.
        node: Slurm's name of the first node.
        restarts: how often Slurm has queued it again.
    """

    id: str
    node: str | None
    restarts: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "OwnJob | None":
        """The job that Slurm's variables describe; None outside a job."""
        array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
        identity = f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")
        if not identity:
            return None
        restarts = environment.get("SLURM_RESTART_COUNT", "")
        return cls(identity, environment.get("SLURMD_NODENAME"), int(restarts) if restarts.isdecimal() else 0)

    def why_stopped(self, warned: bool) -> ExitReason:
        """Who wants this job to stop.

        Where Slurm does not say, something does that will start it again: what is taken for a preemption goes on.

        Args:
            warned: by the signal that announces the time limit.
        """
        fields = self._fields()
        if fields.get("PreemptTime", "None") not in ("None", "Unknown"):
            return ExitReason.PREEMPTION
        if warned or fields.get("Reason") == "TimeLimit":
            return ExitReason.TIME_LIMIT
        # A job that ends is "completing", whatever ends it; one that is queued again counts its restart at once.
        ending = fields.get("JobState") in ("COMPLETING", "CANCELLED")
        queued_again = fields.get("Restarts") != str(self.restarts)
        return ExitReason.CANCELLED if ending and not queued_again else ExitReason.PREEMPTION

    def requeue(self) -> str | None:
        """Have Slurm start this job again; None, or why it will not."""
        if self._fields().get("JobState", "RUNNING") != "RUNNING":
            return None  # it is on its way into the queue, or out of it by a decision that is not ours
        ended = _scontrol("requeue", self.id)
        if ended is None:
            return "scontrol does not answer"
        return ended.stderr.strip() or f"scontrol ended with {ended.returncode}" if ended.returncode else None

    def _fields(self) -> dict[str, str]:
        ended = _scontrol("show", "job", "--oneliner", self.id)
        return dict(_FIELD.findall(ended.stdout)) if ended is not None and ended.returncode == 0 else {}


def _scontrol(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(  # noqa: S603  # Slurm's own id
            ["scontrol", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=_ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
