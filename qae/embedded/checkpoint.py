"""Checkpoints: written whole or not at all, the newest readable one wins."""

import io
import logging
import os
import pickle
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qae.embedded.policy import Policy
from qae.files import tensor_files
from qae.run_directory import write_atomic

_NAME = re.compile(r"step-(\d+)\.pt")
_KEPT = 2
_log = logging.getLogger(__name__)


class DamagedFileError(Exception):
    """A file of tensors whose bytes are not those that were written; its text is one sentence that names the file."""


class ForeignFileError(Exception):
    """A file of tensors that belongs to another user; its text is one sentence with the owner and what to do."""


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


def read(path: Path) -> Any:  # noqa: ANN401  # what `torch.save` was given
    """Tensors and plain values of a file; an object of any other kind, which could run code, is refused.

    Raises:
        ForeignFileError: the file belongs to another user who is not root.
        DamagedFileError: a byte of it has changed, or some are missing.
        pickle.UnpicklingError: it holds an object of another kind.
    """
    with path.open("rb") as file:
        owner = os.fstat(file.fileno()).st_uid
        if owner not in (0, os.geteuid(), _owner_of_new_files(path.parent)):
            raise ForeignFileError(
                f"{path} belongs to user {owner} and is not read: copy it under your own name if you trust it, or "
                "remove it"
            )
        if wrong := tensor_files.flaw(file):
            raise DamagedFileError(f"{path} is damaged ({wrong}): remove it")
        file.seek(0)
        try:
            return torch.load(file, weights_only=True)
        except RuntimeError as error:  # torch's own reader of archives takes fewer of them than Python's
            raise DamagedFileError(f"{path} is damaged ({error}): remove it") from error


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
    """Continue from the newest readable checkpoint, if any; what a killed writer left unfinished is removed.

    Raises:
        ForeignFileError: that checkpoint is another user's.
    """
    for unfinished in directory.glob(".step-*.tmp"):
        unfinished.unlink()
    for step, path in _newest_first(directory):
        try:
            content = read(path)
        except (OSError, DamagedFileError, pickle.UnpicklingError) as error:
            _log.warning("trying the checkpoint before: %s", error)
            continue
        policy.load(content)
        return Resumed(step, content.get("adapted_k"))
    return Resumed(0, None)


def _owner_of_new_files(folder: Path) -> int | None:
    """Whom our files in a folder belong to, which a network file system decides; None where we may write none."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_uid
    except OSError:
        return None


def _newest_first(directory: Path) -> list[tuple[int, Path]]:
    found = [(int(match[1]), path) for path in directory.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)
