"""Python's garbage collector, for a stretch of work that makes much and throws little away."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_BETWEEN_COLLECTIONS = 100_000  # about a figure


@contextmanager
def rare_collections() -> Iterator[None]:
    """A context, for processes forked in it too, in which few collections go through imports, tables and figures.

    What is there already is no garbage. Left alone, a forked process need not copy it.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
