"""The garbage collector is as it was after a stretch of work, also where the work fails."""

import gc
import weakref

import pytest

from analysis.garbage import rare_collections


class Loop:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


def test_the_collector_is_as_it_was() -> None:
    before = (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled())
    with rare_collections(), rare_collections():
        assert gc.get_threshold()[0] > before[0][0]
    with pytest.raises(ValueError, match="broken"), rare_collections():
        raise ValueError("broken")
    assert (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()) == before


def test_garbage_is_still_found() -> None:
    with rare_collections():
        gone = weakref.ref(Loop())
        kept = [[] for _ in range(300_000)]  # type: ignore[var-annotated]
        assert gone() is None
    assert len(kept) == 300_000
