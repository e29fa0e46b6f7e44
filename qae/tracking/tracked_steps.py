"""Which steps of a run W&B's files hold, asked by packages that cannot read these files themselves.

The package that can is found by its entry point, as commands of `qae` are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

_GROUP = "qae.tracked_steps"
_NAME = "wandb"


@dataclass(frozen=True)
class Tracked:
    """What W&B's files of a run hold.

    Attributes:
        last: the last step in any of them; None where they hold none.
        files: how many there are.
        unreadable: what could not be read, one sentence per file.
    """

    last: int | None = None
    files: int = 0
    unreadable: tuple[str, ...] = ()


@cache
def reader() -> Callable[[Path], Tracked] | None:
    """Reads the W&B files below a run's directory; None where no installed package can."""
    points = metadata.entry_points(group=_GROUP, name=_NAME)
    found: Callable[[Path], Tracked] | None = next((point.load() for point in points), None)
    return found
