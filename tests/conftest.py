"""Settings for all tests."""

import os

# Tests share few cores with the processes that they start: waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

torch.set_num_threads(1)
