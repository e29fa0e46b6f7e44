"""The fault matrix: how a run that was hit is compared with one that was not, and the table at the end of the tests.

A test marked ``@pytest.mark.fault("what happens")`` is a row of it; it calls `record` with what `compare` found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from qae.files.json_lines import read_jsonl
from qae.run_directory import RunDirectory

_PROPERTY = "fault"
# What a second run measures differently; everything else is equal, bit for bit.
_TIMES = ("time", "timing_s/", "perf/")
_HEADER = ("fault", "interrupted", "equal bit for bit", "steps lost", "steps doubled", "seconds")


@dataclass(frozen=True)
class Row:
    """A line of the matrix.

    Attributes:
        fault: what happened to the run.
        interruptions: attempts of the run that ended early.
        equal: whether every line that it wrote is that of the uninterrupted run, times apart.
        lost: steps of the uninterrupted run that it does not have.
        doubled: steps with two lines that differ: computed twice, with two results.
        seconds: from the submission to the end of the run.
    """

    fault: str
    interruptions: int
    equal: bool
    lost: int
    doubled: int
    seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        equal = "yes" if self.equal else "NO"
        return self.fault, str(self.interruptions), equal, str(self.lost), str(self.doubled), f"{self.seconds:.0f}"


def compare(fault: str, directory: RunDirectory, reference: RunDirectory, since: float) -> Row:
    """What became of a run that was hit.

    Args:
        fault: what happened to it.
        directory: the run.
        reference: the same run, uninterrupted.
        since: seconds since the epoch at its submission.
    """
    state = directory.read_state()
    lines, wanted = _by_step(directory.metrics), _by_step(reference.metrics)
    evaluations = _distinct(directory.evaluation) == _distinct(reference.evaluation)
    return Row(
        fault=fault,
        interruptions=state.attempt - 1,
        equal=bool(wanted)
        and lines == wanted
        and evaluations
        and _distinct(directory.tokens) == _distinct(reference.tokens),
        lost=len(wanted.keys() - lines.keys()),
        doubled=sum(len(found) > 1 for found in lines.values()),
        seconds=state.heartbeat - since,
    )


def record(request: pytest.FixtureRequest, row: Row) -> None:
    """Put a row into the table."""
    request.node.user_properties.append((_PROPERTY, astuple(row)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the matrix."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    rows = [
        Row(*values)
        for report in reports
        if getattr(report, "when", None) == "call"
        for key, values in report.user_properties
        if key == _PROPERTY
    ]
    if rows:
        terminalreporter.section("fault matrix")
        for line in table(rows):
            terminalreporter.write_line(line)


def table(rows: Sequence[Row]) -> list[str]:
    """The matrix as lines of Markdown."""
    cells = [_HEADER, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _by_step(path: Path) -> dict[object, set[str]]:
    """The distinct lines of each step, times apart."""
    found: dict[object, set[str]] = {}
    for line in read_jsonl(path).records:
        found.setdefault(line["step"], set()).add(_without_times(line))
    return found


def _distinct(path: Path) -> set[str]:
    return {_without_times(line) for line in read_jsonl(path).records}


def _without_times(line: Mapping[str, object]) -> str:
    return repr(sorted((key, value) for key, value in line.items() if not key.startswith(_TIMES)))
