"""A place to run as a sweep sees it: this machine (`sweeps.launching.local`) or a cluster (`slurm.executor`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.launching.plan import Plan, PlannedRun


# Runs to start beside those of a launch that goes on, their directories made; None once no more will come. It is asked
# several times a second, with the runs that failed or were killed so far and a sentence for each.
Feed: TypeAlias = "Callable[[Mapping[str, str]], Sequence[PlannedRun] | None]"


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


def no_more(_: Mapping[str, str]) -> None:
    """The feed of a launch whose runs are all planned before."""


class Executor(Protocol):
    """A place to run."""

    def in_flight(self, root: Path) -> frozenset[str]:
        """Ids of runs of this store that wait or run there already, though no process holds their lock here."""
        ...

    def check(self, runs: "Sequence[PlannedRun]") -> None:
        """Refuse what cannot run there, before anything is written.

        Args:
            runs: those that would start.

        Raises:
            ConfigError: names the key, the value and the fix.
        """
        ...

    def describe(self, plan: "Plan") -> Sequence[str]:
        """Sentences to show below the plan."""
        ...

    def launch(self, plan: "Plan", console: "Console", feed: Feed = no_more) -> Execution:
        """Start what the plan says and follow what is started or in flight.

        Args:
            plan: its runs have their directories.
            console: where progress goes.
            feed: gives more runs while the launch goes on.

        Raises:
            ExecutorError: nothing was started.
        """
        ...
