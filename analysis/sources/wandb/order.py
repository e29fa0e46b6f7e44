"""Which of a run's offline files came later: by what W&B's records say, never by a folder's name in local time.

The start of an attempt is the time of its first run record, which is UTC. Where these times are missing or equal, or
say that an attempt which began in the middle came before all that it can have continued from, the steps decide: an
attempt that continues from another's steps came after it. Whatever had to be guessed is said.
"""

import itertools
from collections.abc import Sequence

from analysis.runs.flaw import Flaw, Kind
from analysis.runs.flaws import listed_steps
from analysis.sources.wandb.segment import Segment

# Clocks of two machines may differ by so many seconds without a word.
_SKEW_SECONDS = 60.0


def in_order(parts: Sequence[Segment]) -> tuple[list[Segment], list[Flaw]]:
    """A run's files from the first attempt to the last, and what was not clear about it."""
    if len(parts) < 2:
        return list(parts), []
    by_time = sorted(parts, key=_time_key)
    times = [_start(part) for part in by_time]
    known = None not in times and len(set(times)) == len(times)
    if known and not _begins_before_all(by_time):
        return by_time, _overlap(by_time)
    by_steps = sorted(parts, key=_step_key)
    reason = "say another order than their steps" if known else "are missing or equal"
    firsts = [_first(part) for part in by_steps if _first(part) is not None]
    decided = len(set(firsts)) == len(firsts)
    how = "the file that continues from another's steps counts as the later one"
    if not decided:
        how = "which came later cannot be decided; the file that got further counts"
    text = f"Start times of its {len(parts)} files {reason}: {how} ({', '.join(map(_named, by_steps))})."
    return by_steps, [Flaw(Kind.ORDER, "", text, len(parts))]


def rewritten_steps(parts: Sequence[Segment]) -> list[Flaw]:
    """Steps that several files of a run have; of each the last file counts."""
    seen: set[int] = set()
    again: set[int] = set()
    for part in parts:
        steps = set(part.metrics["step"].unique().tolist())
        again |= steps & seen
        seen |= steps
    if not again:
        return []
    text = f"{len(again)} steps ({listed_steps(sorted(again))}) were logged again by a continued run, which counts."
    return [Flaw(Kind.SUPERSEDED, "", text, len(again))]


def left_behind(steps: Sequence[int]) -> list[Flaw]:
    """Steps of attempts that ended, from before which the run went on without coming to them again."""
    if not steps:
        return []
    text = f"{len(steps)} steps ({listed_steps(steps)}) of an ended attempt are left out: the run went on before them."
    return [Flaw(Kind.SUPERSEDED, "", text, len(steps))]


def _begins_before_all(parts: Sequence[Segment]) -> bool:
    """Whether an attempt begins before every step at which an earlier one began, which then continued from nothing."""
    firsts = [first for part in parts if (first := _first(part)) is not None]
    return any(first < min(firsts[:index]) for index, first in enumerate(firsts) if index)


def _overlap(parts: Sequence[Segment]) -> list[Flaw]:
    for earlier, later in itertools.pairwise(parts):
        start, end = _start(later), earlier.description.last_logged
        if start is not None and end is not None and end - start > _SKEW_SECONDS:
            text = (
                f"{_named(earlier)} was still written when {_named(later)} began: two processes wrote the run at once, "
                "or a clock was wrong; the later start counts."
            )
            return [Flaw(Kind.ORDER, "", text)]
    return []


def _start(part: Segment) -> float | None:
    found = part.description.started
    return part.description.first_logged if found is None else found


def _first(part: Segment) -> int | None:
    return int(part.metrics["step"].min()) if len(part.metrics) else None


def _last(part: Segment) -> int:
    return int(part.metrics["step"].max()) if len(part.metrics) else -1


def _time_key(part: Segment) -> tuple[object, ...]:
    start = _start(part)
    return (start is not None, start or 0.0, *_step_key(part))


def _step_key(part: Segment) -> tuple[object, ...]:
    first = _first(part)
    return (
        -1 if first is None else first,
        part.description.starting_step,
        _last(part),
        part.description.last_logged or 0.0,
        str(part.path),
    )


def _named(part: Segment) -> str:
    first = _first(part)
    return (
        f"{part.path.parent.name} from step {first}" if first is not None else f"{part.path.parent.name} without steps"
    )
