"""A slice of `make fuzz`: some inputs of each kind, other ones in each run of the tests."""

import secrets
from pathlib import Path

import pytest

from tests.fuzz.target import Target, play
from tests.fuzz.targets import TARGETS

_SLICE = 2000  # inputs, shared out as in `make fuzz`


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name.replace(" ", "-"))
def test_no_input_breaks_a_promise(target: Target, tmp_path: Path) -> None:
    inputs = _SLICE * target.share // 1000
    seen = play(target.prepare(tmp_path), inputs, secrets.randbits(32))
    assert sum(seen.values()) >= inputs // 2


def test_shares_are_whole() -> None:
    assert sum(target.share for target in TARGETS) == 1000
