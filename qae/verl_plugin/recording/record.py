"""The run directory as the trainer writes it: each line is on disk before the step counts as logged."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import Protocol

from qae.evaluation import ProblemResult
from qae.run_directory import JsonlWriter, RunDirectory
from qae.tokens.statistics import HighEntropyToken

RUN_DIRECTORY = "QAE_RUN_DIRECTORY"


class Tracking(Protocol):
    """verl's `verl.utils.tracking.Tracking`."""

    def log(self, data: Mapping[str, object], step: int) -> None:
        """One step's values."""
        ...

    def finish(self, exit_code: int = 0) -> None:
        """The training is over."""
        ...


class RunRecord:
    """Appends to the files of the run directory that $QAE_RUN_DIRECTORY names; nothing without it.

    Without it the trainer was started by hand, and verl's own loggers have the same values.
    """

    def __init__(self, directory: RunDirectory | None) -> None:
        self._directory = directory

    @classmethod
    def from_environment(cls) -> "RunRecord":
        """The record of the run that started this process."""
        path = os.environ.get(RUN_DIRECTORY)
        return cls(RunDirectory(Path(path)) if path else None)

    def metrics(self, step: int, values: Mapping[str, object]) -> None:
        """A step's metrics; what is no number is left out."""
        if self._directory is None:
            return
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, Real)}
        with JsonlWriter(self._directory.metrics) as lines:
            lines.append({"step": step, "time": time.time(), **numbers})

    def evaluation(self, step: int, results: Sequence[ProblemResult]) -> None:
        """A step's counts, one line per problem."""
        if self._directory is None:
            return
        with JsonlWriter(self._directory.evaluation) as lines:
            lines.append(*({"step": step, **asdict(result)} for result in results))

    def tokens(self, step: int, tokens: Sequence[HighEntropyToken], markers: Mapping[str, int], responses: int) -> None:
        """A step's high-entropy tokens and marker words."""
        if self._directory is None:
            return
        with JsonlWriter(self._directory.tokens) as lines:
            lines.append(
                {
                    "step": step,
                    "tokens": [asdict(token) for token in tokens],
                    "markers": dict(markers),
                    "responses": responses,
                }
            )

    def stop_requested(self) -> bool:
        """Whether the job asked to end after the current step."""
        return self._directory is not None and self._directory.stop_request.exists()


class StopRequestedError(RuntimeError):
    """The job asked to stop; the checkpoint of this step is complete."""


class RecordingTracking:
    """verl's tracking with the run directory in front of it."""

    def __init__(self, tracking: Tracking, record: RunRecord) -> None:
        self._tracking = tracking
        self._record = record
        self.stops_after_step = False

    def log(self, data: Mapping[str, object], step: int) -> None:
        """Write the step to disk, then to verl's loggers.

        Raises:
            StopRequestedError: the trainer was asked to end after this step.
        """
        self._record.metrics(step, data)
        self._tracking.log(data=data, step=step)
        if self.stops_after_step:
            raise StopRequestedError(f"stopped on request after step {step}")

    def finish(self, exit_code: int = 0) -> None:
        """Close verl's loggers."""
        self._tracking.finish(exit_code=exit_code)
