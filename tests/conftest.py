"""Settings for all tests."""

import os

# Tests share few cores with the processes that they start: waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from tests.slurm.matrix import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]  # a hook: prints the fault matrix

torch.set_num_threads(1)
