"""Imported once by the process that workers are forked from: the trainer and what it imports."""

import signal

# The first optimizer imports it, for seconds in each worker.
import torch._dynamo

from qae.tiny import train

# A closed terminal reaches the launcher, which stops the workers in order; this process must outlive them.
signal.signal(signal.SIGHUP, signal.SIG_IGN)

__all__ = ["torch", "train"]
