"""Settings for the first import of numpy and matplotlib, with which commands that draw need less time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_THREADS = "OPENBLAS_NUM_THREADS"


@contextmanager
def single_threaded_products() -> Iterator[None]:
    """A context for the first import of numpy: products of matrices take one thread, unless the user says otherwise.

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


@contextmanager
def undocumented_artists() -> Iterator[None]:
    """A context for the first import of matplotlib's figures: their docstrings list no properties.

    To make these lists takes a third of the import.
    """
    from matplotlib import artist as artists

    before = artists.kwdoc
    artists.kwdoc = lambda artist: ""  # noqa: ARG005  # callers may name it
    try:
        yield
    finally:
        artists.kwdoc = before
