"""An offline file of W&B, read: what its records say, its numbers and what is wrong with them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.runs.flaw import Flaw
from analysis.sources.lost import Lost
from analysis.sources.wandb.records import Description


@dataclass(frozen=True)
class Segment:
    """An offline file, read.

    Attributes:
        path: where it lies.
        description: what it says of its run.
        metrics: columns step, name (categorical), value; of a step and name the last one.
        notes: what could not be read of it.
        lost: values of metrics that are no number.
        flaws: what else is wrong with its numbers.
    """

    path: Path
    description: Description
    metrics: pd.DataFrame
    notes: tuple[str, ...]
    lost: tuple[Lost, ...] = ()
    flaws: tuple[Flaw, ...] = ()

    @property
    def run_id(self) -> str:
        """The run's id: from its records, else from the file's name, which has it too."""
        return self.description.run_id or self.path.stem.removeprefix("run-")
