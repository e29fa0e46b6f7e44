"""A slice of `make fuzz`: some inputs of each kind, the same in each run of the tests."""

from pathlib import Path

import pytest

from tests.fuzz.target import Target, play
from tests.fuzz.targets import TARGETS

_SEED = 20261201  # any number that `make fuzz` does not begin with
_SLICE = 2000  # inputs, shared out as in `make fuzz`


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name.replace(" ", "-"))
def test_no_input_breaks_a_promise(target: Target, tmp_path: Path) -> None:
    inputs = _SLICE * target.share // 1000
    with target.prepare(tmp_path) as judge:
        seen = play(judge, inputs, _SEED)
    assert sum(seen.values()) >= inputs // 2


def test_shares_are_whole() -> None:
    assert sum(target.share for target in TARGETS) == 1000
