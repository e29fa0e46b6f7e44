"""What a benchmark has measured, in the form that ``make bench`` collects and writes into a page."""

import json
import os
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

# Names the file that a benchmark appends its records to; `benchmarks.bench` sets it.
VARIABLE = "QAE_BENCHMARK_RECORDS"


@dataclass(frozen=True)
class Record:
    """A row: a comparison, or a number of ours that has no counterpart.

    Attributes:
        name: what was done.
        ours: median of ours, in `unit`.
        unit: of `ours` and `theirs`.
        against: what ours is compared with; empty where it has no counterpart.
        theirs: its median.
        spread: each repetition of ours, where it has no counterpart.
        ratios: how many times better ours is, a number per repetition.
        goal: the least ratio to reach; without a counterpart, the most that `ours` may be.
        note: what a reader must know, such as what was scaled.
    """

    name: str
    ours: float
    unit: str
    against: str = ""
    theirs: float | None = None
    spread: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of the repetitions; None without a counterpart."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def missed(self) -> bool:
        """Whether there is a goal and it is not reached."""
        if self.goal is None:
            return False
        return self.ours > self.goal if self.ratio is None else self.ratio < self.goal


def write(records: Iterable[Record]) -> None:
    """Append records to the file that the environment names; a benchmark that runs by itself writes nothing."""
    if path := os.environ.get(VARIABLE):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(asdict(record)) + "\n" for record in records)


def read(path: Path) -> list[Record]:
    """The records of a file; none where no benchmark wrote it."""
    if not path.exists():
        return []
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [Record(**{**of, **{name: tuple(of[name]) for name in ("ratios", "spread")}}) for of in found]
