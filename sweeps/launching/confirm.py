"""Asking before a launch that costs much: `sweep.confirm_above` GPU hours."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from qae.checks import is_number
from qae.console.literal import literal
from qae.errors import ConfigError
from sweeps.launching.plan import Plan

_ASK = "ask"


@dataclass(frozen=True)
class Confirmation:
    """When to ask.

    Attributes:
        above: GPU hours from which a launch is asked about; None: never.
        given: whether the command says yes already.
    """

    above: float | None
    given: bool

    @classmethod
    def of(cls, sweep: Mapping[str, object]) -> "Confirmation":
        """Read it off the `sweep` section.

        Raises:
            ConfigError: a limit that is no number of hours, or an answer that is none.
        """
        above, confirm = sweep.get("confirm_above"), sweep.get("confirm", _ASK)
        if above is not None and not (is_number(above) and above >= 0):
            raise ConfigError("sweep.confirm_above", above, "give a number of GPU hours, or null to never ask")
        if confirm is not True and confirm != _ASK:
            raise ConfigError("sweep.confirm", confirm, f"give {_ASK}, or true to launch without being asked")
        return cls(above, confirm is True)

    def holds(self, plan: Plan, console: Console) -> bool:
        """Whether to go on with a plan; asks where there is a terminal to ask on.

        Raises:
            ConfigError: it has to be asked and there is no terminal.
        """
        hours = sum(run.gpu_hours or 0.0 for run in plan.runs if run.action.runs)
        if self.above is None or self.given or hours <= self.above:
            return True
        over = f"about {hours:,.0f} GPU hours are over sweep.confirm_above={self.above:g}"
        if not (sys.stdin.isatty() and console.is_terminal):
            raise ConfigError("sweep.confirm", _ASK, f"{over} and there is no terminal to ask on; give true to launch")
        question = f"{over[0].upper()}{over[1:]}. Launch? [y/N] "
        console.print(literal(question), end="", soft_wrap=True)
        try:
            answer = input()
        except EOFError:
            return False
        return answer.strip().lower() in ("y", "yes")
