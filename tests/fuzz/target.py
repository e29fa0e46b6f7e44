"""What a target of the fuzzing is, and one round of it."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

Judge = Callable[[st.DataObject], str]


@dataclass(frozen=True)
class Target:
    """A kind of input and what must hold for each.

    Attributes:
        name: of the kind.
        share: of all inputs of `make fuzz`, in thousandths.
        prepare: makes what the inputs are tried on, in an empty folder, and gives the judge while its context lasts.
            The judge draws an input, raises where the toolkit did not behave, and else returns how it behaved.
    """

    name: str
    share: int
    prepare: Callable[[Path], AbstractContextManager[Judge]]


def play(judge: Judge, inputs: int, number: int) -> Counter[str]:
    """Try drawn inputs.

    Args:
        judge: of a prepared target.
        inputs: how many at most; hypothesis draws no input twice.
        number: of the round; rounds of other numbers draw other inputs.

    Returns:
        how often the toolkit behaved in which way.

    Raises:
        Exception: what the smallest input raised that breaks a promise, with this input in its notes.
    """
    seen: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(data=st.data())
    def one(data: st.DataObject) -> None:
        seen[judge(data)] += 1

    one()
    return seen
