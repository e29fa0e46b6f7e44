"""What a place to run looks like from a sweep: this machine (`sweeps.local`) or a cluster (`slurm.executor`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rich.console import Console

from sweeps.plan import Plan, PlannedRun


class ExecutorError(RuntimeError):
    """The place to run refused, or does not answer; its text is one sentence for the user."""


@dataclass(frozen=True)
class Execution:
    """How a launch ended.

    Attributes:
        failed: run ids that failed or were killed, with one sentence each.
        interrupted: whether the user stopped it.
        notes: sentences to end with, such as how to come back to what goes on elsewhere.
        unfinished: whether runs go on without this process, so that there are no results yet.
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    unfinished: bool = False


class Executor(Protocol):
    """A place to run."""

    def in_flight(self, root: Path) -> frozenset[str]:
        """Ids of runs of this store that wait or run there already, though no process holds their lock here."""
        ...

    def check(self, runs: Sequence[PlannedRun]) -> None:
        """Refuse what cannot run there, before anything is written.

        Args:
            runs: those that would start.

        Raises:
            ConfigError: names the key, the value and the fix.
        """
        ...

    def describe(self, plan: Plan) -> Sequence[str]:
        """Sentences to show below the plan."""
        ...

    def launch(self, plan: Plan, console: Console) -> Execution:
        """Start what the plan says and follow what is started or in flight.

        Args:
            plan: its runs have their directories.
            console: where progress goes.

        Raises:
            ExecutorError: nothing was started.
        """
        ...
