"""Files of tensors are read from their owner, and nothing in them runs."""

import os
import pickle
import re
from pathlib import Path

import pytest
import torch

from qae.embedded import checkpoint

STRANGER = 54321


class Trap:
    """An object whose pickle makes a folder when it is read as Python reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.folder,)


class Counter:
    """A policy that is a number."""

    def __init__(self) -> None:
        self.value = 0

    def state(self) -> dict[str, object]:
        return {"value": self.value}

    def load(self, state: dict[str, int]) -> None:
        self.value = state["value"]


def test_a_trap_does_not_run_and_the_checkpoint_before_is_taken(tmp_path: Path) -> None:
    written, read = Counter(), Counter()
    written.value = 7
    checkpoint.save(tmp_path, 3, written, 0.4)  # type: ignore[arg-type]  # a policy in what a checkpoint asks of it
    torch.save({"step": 5, "value": Trap(tmp_path / "ran")}, tmp_path / "step-000005.pt")
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.read(tmp_path / "step-000005.pt")
    assert checkpoint.load_newest(tmp_path, read) == checkpoint.Resumed(3, 0.4)  # type: ignore[arg-type]
    assert read.value == 7
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "step-000005.pt", weights_only=False)  # the trap is one
    assert (tmp_path / "ran").exists()


def test_a_file_of_another_user_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "step-000003.pt"
    checkpoint.save(tmp_path, 3, Counter(), None)  # type: ignore[arg-type]
    if os.getuid() == 0:  # who alone can give a file away
        os.chown(path, STRANGER, STRANGER)
        with pytest.raises(checkpoint.ForeignFileError) as refused:
            checkpoint.load_newest(tmp_path, Counter())  # type: ignore[arg-type]
        assert str(refused.value) == (
            f"{path} belongs to user {STRANGER} and is not read: "
            "copy it under your own name if you trust it, or remove it"
        )
        os.chown(path, 0, 0)
    assert checkpoint.load_newest(tmp_path, Counter()).step == 3  # type: ignore[arg-type]


def test_a_weight_that_changed_on_disk_is_not_trained_with(tmp_path: Path) -> None:
    """`torch.load` alone takes it: it does not compare checksums."""
    written, read = Counter(), Counter()
    for step, value in ((3, 1.0), (6, 2.0)):
        written.value = torch.full((64,), value)  # type: ignore[assignment]
        checkpoint.save(tmp_path, step, written, None)  # type: ignore[arg-type]
    newest = tmp_path / "step-000006.pt"
    content = newest.read_bytes()
    weights = torch.full((64,), 2.0).numpy().tobytes()
    assert weights in content
    newest.write_bytes(content.replace(weights, b"\x01" + weights[1:]))
    assert torch.load(newest, weights_only=True)["value"][0] != 2.0
    assert checkpoint.load_newest(tmp_path, read) == checkpoint.Resumed(3, None)  # type: ignore[arg-type]
    assert torch.equal(read.value, torch.full((64,), 1.0))  # type: ignore[arg-type]
    for damaged in (newest.read_bytes(), b"rubbish" + content, content[:-40], b""):
        newest.write_bytes(damaged)
        with pytest.raises(checkpoint.DamagedFileError, match=re.escape(str(newest))):
            checkpoint.read(newest)
