"""Checkpoints: written whole or not at all, the newest readable one wins."""

import io
import logging
import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from qae.embedded.policy import Policy
from qae.run_directory import write_atomic

_NAME = re.compile(r"step-(\d+)\.pt")
_KEPT = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resumed:
    """Where training continues.

    Attributes:
        step: the last finished step; 0 at the start.
        adapted_k: K of that step, where a controller had set it.
    """

    step: int
    adapted_k: float | None


def to_bytes(values: object) -> bytes:
    """Serialise tensors and plain values as `torch.save` does."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def save(directory: Path, step: int, policy: Policy, adapted_k: float | None) -> None:
    """Write the state after a step and drop all but the newest two.

    Random number generators are not part of it: see `qae.embedded.seeding`.

    Args:
        directory: of the run's checkpoints.
        step: the last finished one.
        policy: as it is after it.
        adapted_k: K of the step where a controller has set it, else None.
    """
    content = {"step": step, **policy.state()}
    if adapted_k is not None:
        content["adapted_k"] = adapted_k
    write_atomic(directory / f"step-{step:06d}.pt", to_bytes(content))
    for _, old in _newest_first(directory)[_KEPT:]:
        old.unlink()


def load_newest(directory: Path, policy: Policy) -> Resumed:
    """Continue from the newest readable checkpoint, if any; what a killed writer left unfinished is removed."""
    for unfinished in directory.glob(".step-*.tmp"):
        unfinished.unlink()
    for step, path in _newest_first(directory):
        try:
            content = torch.load(path, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            _log.warning("%s cannot be read (%s); trying the one before", path, error)
            continue
        policy.load(content)
        return Resumed(step, content.get("adapted_k"))
    return Resumed(0, None)


def _newest_first(directory: Path) -> list[tuple[int, Path]]:
    found = [(int(match[1]), path) for path in directory.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)
