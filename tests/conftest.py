"""Settings for all tests."""

import os
import signal
from pathlib import Path

# Tests share few cores with the processes that they start: waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

from tests.slurm.matrix import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]  # a hook: prints the fault matrix

_CLUSTERS = ("slurm", "verl_plugin")

torch.set_num_threads(1)

# A shell starts background jobs with SIGINT ignored, and so would be every process whose Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side (`make test`) files go to whichever process is free, and all that start clusters to one.

    Ray gives a node 30 seconds to start, which two of them at once would miss on few cores. They come first, since they
    take the longest.
    """
    folders = {item: item.path.relative_to(Path(__file__).parent).parts[0] for item in items}
    for item, folder in folders.items():
        item.add_marker(pytest.mark.xdist_group("clusters" if folder in _CLUSTERS else item.path.stem))
    items.sort(key=lambda item: folders[item] not in _CLUSTERS)
