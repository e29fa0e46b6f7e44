"""verl's checkpoint folder: which one a run continues from, and the pointer to it made good after a kill."""

import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path

from qae.run_directory import write_atomic

_POINTER = "latest_checkpointed_iteration.txt"  # verl/utils/checkpoint/checkpoint_manager.py
_PREFIX = "global_step_"
_QUEUE_IN_THE_MAKING = "transfer_queue.tmp"


def resume_step(checkpoints: Path, logged: int | None = None) -> int:
    """The step of the checkpoint that a run continues from, 0 without one; afterwards verl's pointer names it.

    verl writes the actor, then the data loader's state, in asynchronous modes the transfer queue, then the pointer, and
    logs the step last. A kill can leave a checkpoint without its end, an empty pointer, on which verl's
    `resume_mode=auto` fails, or a step that has a checkpoint and no metrics. Newer checkpoints than the one to continue
    from are removed: verl would write into them.

    Args:
        checkpoints: verl's `trainer.default_local_dir`.
        logged: last step with metrics on disk; None where that is not known.
    """
    newest = _newest(complete(checkpoints), logged)
    for step, path in _by_step(checkpoints).items():
        if step > newest:
            shutil.rmtree(path)
    if newest:
        write_atomic(checkpoints / _POINTER, str(newest).encode())
    else:
        (checkpoints / _POINTER).unlink(missing_ok=True)
    return newest


def _newest(steps: Collection[int], logged: int | None) -> int:
    """The newest step, or the one before where the newest has no metrics: it is computed again and logged.

    Several checkpoints without metrics mean that somebody lost the metrics, not that a kill came before a line.
    """
    before = [step for step in steps if logged is not None and step <= logged]
    return max(before) if before and len(before) == len(steps) - 1 else max(steps, default=0)


def complete(checkpoints: Path) -> dict[int, Path]:
    """The folders of complete checkpoints by step."""
    return {step: path for step, path in _by_step(checkpoints).items() if _is_complete(path)}


def _by_step(checkpoints: Path) -> dict[int, Path]:
    found = [path for path in checkpoints.glob(f"{_PREFIX}*") if _is_step(path)]
    return {int(path.name.removeprefix(_PREFIX)): path for path in found}


def _is_step(path: Path) -> bool:
    return path.is_dir() and path.name.removeprefix(_PREFIX).isdigit()


def _is_complete(checkpoint: Path) -> bool:
    """The data loader's state comes after the weights, as a zip archive whose directory lies at its end.

    Asynchronous modes then write the transfer queue, under another name until it is whole
    (transfer_queue/interface.py).
    """
    actor = checkpoint / "actor"
    weights = actor.is_dir() and any(actor.iterdir())
    return weights and zipfile.is_zipfile(checkpoint / "data.pt") and not (checkpoint / _QUEUE_IN_THE_MAKING).exists()
