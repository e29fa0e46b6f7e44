"""Threads of the library that multiplies matrices for numpy."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_THREADS = "OPENBLAS_NUM_THREADS"


@contextmanager
def single_threaded_products() -> Iterator[None]:
    """A context for the first import of numpy, after which products of matrices take one thread, unless the user says.

    Tables of seeds and problems are small: several threads wait for each other longer than they multiply, and each
    core has figures of its own to draw.
    """
    before = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, "1")
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
