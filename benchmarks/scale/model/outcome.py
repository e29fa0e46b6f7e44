"""What came of a simulated sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.scale.model.run import Spent
from qae.run_directory import RunState

_MS_AN_HOUR = 3_600_000


class Stay(NamedTuple):
    """A node that a run held, from begin to end, milliseconds."""

    node: int
    run: int
    begin: int
    end: int


@dataclass(frozen=True)
class Outcome:
    """A sweep that is done.

    Attributes:
        hours: until its last run was done.
        gpus_per_node: GPUs of a node.
        spent: node milliseconds of its jobs.
        uses: node milliseconds of the cluster, by `benchmarks.scale.model.nodes.Use`.
        attempts: of all runs.
        reasons: how attempts ended.
        calls: of Slurm's commands, by command.
        file_reads: of states and batches that submitting read.
        launches: how often the command was given.
        arrays: that were submitted.
        states: the last state of each run.
    """

    hours: float
    gpus_per_node: int
    spent: Spent
    uses: tuple[int, ...]
    attempts: int
    reasons: Mapping[str, int]
    calls: Mapping[str, int]
    file_reads: int
    launches: int
    arrays: int
    states: tuple[RunState, ...]

    def gpu_hours(self, node_milliseconds: int) -> float:
        """Node milliseconds as GPU hours."""
        return node_milliseconds * self.gpus_per_node / _MS_AN_HOUR

    @property
    def waste(self) -> float:
        """Wasted GPU time over useful GPU time."""
        return self.spent.wasted / self.spent.useful

    @property
    def controller_calls(self) -> int:
        """Calls that slurmctld answers; sacct and sacctmgr ask the accounting's daemon."""
        return sum(self.calls.get(command, 0) for command in ("squeue", "sbatch", "scontrol"))
