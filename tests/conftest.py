"""Settings for all tests."""

import os
import signal

# Tests share few cores with the processes that they start: waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from tests.slurm.matrix import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]  # a hook: prints the fault matrix

torch.set_num_threads(1)

# A shell starts background jobs with SIGINT ignored, and so would be every process whose Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
