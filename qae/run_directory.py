"""A run is a directory: its files, how they are written so that nothing is lost, and how they are read.

The trainer writes it, the launcher and the analysis read it; the form of each file is in docs/run_directory.md.
"""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

import orjson

from qae.files import layout, numbers, run_state
from qae.files.json_lines import JsonLines, read_jsonl
from qae.files.run_state import NOTHING_TO_LEARN, RunState, RunStatus, has_collapsed

__all__ = [
    "NOTHING_TO_LEARN",
    "NO_VALUES",
    "JsonlWriter",
    "Record",
    "RunDirectory",
    "RunState",
    "RunStatus",
    "Scalar",
    "Value",
    "evaluations_that_count",
    "has_collapsed",
    "logged",
    "logged_steps",
    "metrics_that_count",
    "read_evaluations",
    "read_metrics",
    "values_of",
    "write_atomic",
]

Scalar: TypeAlias = int | float | str | bool | None
Value: TypeAlias = "Scalar | Sequence[Scalar] | Sequence[Mapping[str, Scalar]] | Mapping[str, Scalar]"
Record: TypeAlias = Mapping[str, Value]


_LOG_END_BYTES = 200_000
# Keys of a metric line that are no metrics.
NO_VALUES = ("step", "time")


@dataclass(frozen=True)
class RunDirectory:
    """The paths inside ``runs/<run id>/``."""

    path: Path

    @property
    def run_id(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def layout(self) -> Path:
        """Which form the directory has; see `qae.files.layout`."""
        return self.path / layout.FILE

    def write_layout(self) -> None:
        """Say that the directory has today's layout, which is a superset of all before."""
        write_atomic(self.layout, layout.MARK)

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """Code, versions and machine of each attempt."""
        return self.path / "provenance.json"

    @property
    def metrics(self) -> Path:
        """One line per step."""
        return self.path / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        """One line per step, data set and problem."""
        return self.path / "evaluation.jsonl"

    @property
    def tokens(self) -> Path:
        """One line per step: high-entropy tokens and marker words."""
        return self.path / "tokens.jsonl"

    @property
    def state(self) -> Path:
        """Where the run stands."""
        return self.path / "state.json"

    @property
    def checkpoints(self) -> Path:
        """What the run continues from."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint of the best validation, where the run keeps it."""
        return self.path / "best_checkpoint"

    @property
    def logs(self) -> Path:
        """What each attempt printed."""
        return self.path / "logs"

    def log(self, attempt: int) -> Path:
        """What an attempt printed; the first one is 1."""
        return self.logs / f"attempt-{attempt}.log"

    def end_of_log(self, attempt: int) -> str:
        """The last 200 kB of what an attempt printed; nothing where it has no log."""
        path = self.log(attempt)
        return path.read_bytes()[-_LOG_END_BYTES:].decode(errors="replace") if path.exists() else ""

    @property
    def lock(self) -> Path:
        """Held by the process that runs it."""
        return self.path / "lock"

    @property
    def lease(self) -> Path:
        """Who runs it, for machines that do not see each other's locks."""
        return self.path / "lease.json"

    @property
    def guard(self) -> Path:
        """One line per decision of the entropy guard."""
        return self.path / "guard.jsonl"

    @property
    def stop_request(self) -> Path:
        """Its presence asks verl's trainer to end after the current step."""
        return self.path / "stop"

    @property
    def end_request(self) -> Path:
        """Its presence asks the run to end after the current step, with a checkpoint; it holds the reason."""
        return self.path / "end_request"

    def request_end(self, reason: str) -> None:
        """Ask the run to end; a launch of it takes the request back.

        Args:
            reason: one sentence, which becomes the state's.
        """
        write_atomic(self.end_request, reason.encode())

    def requested_end(self) -> str | None:
        """Why the run is asked to end; None where it is not."""
        try:
            return self.end_request.read_text()
        except FileNotFoundError:
            return None

    def read_state(self) -> RunState:
        """The state on disk, or a planned one where none was written.

        Raises:
            LayoutError: the directory is one of a newer toolkit; see `qae.files.layout`.
            ValueError: state.json is not one that this version wrote.
        """
        layout.read(self.path)
        return self.read_state_of_known_layout()

    def read_state_of_known_layout(self) -> RunState:
        """The same where somebody has asked for the layout.

        Raises:
            ValueError: state.json is not one that this version wrote.
        """
        try:
            raw = self.state.read_bytes()
        except FileNotFoundError:
            return RunState()
        try:
            return run_state.loads(raw)
        except ValueError as error:
            raise ValueError(f"{self.state} is not a run state ({error}); move it away to start again") from error

    def write_state(self, state: RunState) -> None:
        """Replace state.json atomically."""
        write_atomic(self.state, run_state.dumps(state))

    def write_last_state(self, state: RunState) -> None:
        """Write how an attempt ended, on a full disk too.

        Replacing needs room for a second file. Where there is none the words go over the old ones, whose blocks are
        allotted: one write of less than a page, which no reader and no kill sees in part on a local file system.

        Raises:
            OSError: not even that could be written; what is on disk says running still, which means interrupted.
        """
        try:
            self.write_state(state)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            content = run_state.dumps(state)
            with self.state.open("rb+", buffering=0) as file:
                # JSON may end in blanks, so nothing of the longer old text stays behind.
                padded = content.ljust(os.fstat(file.fileno()).st_size)
                file.write(padded)
                os.fsync(file.fileno())


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a kill at any point, sees the old content or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        # Half a file would take the room that a full disk lacks.
        temporary.unlink(missing_ok=True)
        raise


class JsonlWriter:
    """Appends records to a JSONL file; each is on disk when `append` returns.

    A torn last line that a killed writer left is cut off on opening, so that the next record starts on a
    line of its own.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+", buffering=0)
        self._cut_torn_tail()

    def append(self, *records: Record) -> None:
        """Append one line a record and wait until the disk has them; none of them where it has no room for all.

        NaN and infinity, which JSON lacks, are written as the texts "NaN", "Infinity" and "-Infinity".

        Raises:
            OSError: the disk is full, or takes no more for another reason.
        """
        spelled = map(numbers.spelled, records)
        lines = b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in spelled)
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = 0
            while written < len(lines):  # a disk that fills up takes a part and says no to the rest
                written += self._file.write(lines[written:])
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(before)
            raise

    def close(self) -> None:
        """Close the file; everything is on disk already."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut_torn_tail(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 65536)
            self._file.seek(start)
            newline = self._file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end != size:
            self._file.truncate(end)


def read_metrics(directory: RunDirectory) -> JsonLines:
    """The run's metric lines in order of step, without those that a resumed run left behind.

    A resumed run writes the steps after its checkpoint again: its first line supersedes those of its step and of all
    later ones, also where it has not come to these again. Steps are
    whole numbers and values that were NaN or infinite are floats again; a line without a usable step is not among
    the records.
    """
    return metrics_that_count(read_jsonl(directory.metrics))


def metrics_that_count(lines: JsonLines) -> JsonLines:
    """Of all lines of a metrics.jsonl those that `read_metrics` gives."""
    by_step: dict[int, dict[str, object]] = {}
    last = -1
    for record in lines.records:
        at = numbers.step(record.get("step"))
        if at is None:
            continue
        if at <= last:
            by_step = {step: line for step, line in by_step.items() if step < at}
        by_step[at] = record
        last = at
    return replace(lines, records=[{**values_of(by_step[at]), "step": at} for at in sorted(by_step)])


def logged_steps(directory: RunDirectory) -> Iterator[tuple[int, dict[str, object]]]:
    """Steps of `read_metrics` with their values, in order."""
    return logged(read_metrics(directory))


def logged(lines: JsonLines) -> Iterator[tuple[int, dict[str, object]]]:
    """Steps of metric lines, of which each has one, with their values."""
    for line in lines.records:
        step = numbers.step(line["step"])
        assert step is not None  # noqa: S101  # such a line does not count
        yield step, {name: value for name, value in line.items() if name not in NO_VALUES}


def values_of(line: dict[str, object]) -> dict[str, object]:
    """A line of metrics.jsonl with NaN and infinity as floats, which `JsonlWriter` has spelled out."""
    if str not in map(type, line.values()):
        return line
    return {name: numbers.unspelled(value) for name, value in line.items()}


def read_evaluations(directory: RunDirectory) -> JsonLines:
    """The run's evaluation lines, as `read_metrics`; of a step, data set and problem the last line counts."""
    return evaluations_that_count(read_jsonl(directory.evaluation))


def evaluations_that_count(lines: JsonLines) -> JsonLines:
    """Of all lines of an evaluation.jsonl those that `read_evaluations` gives."""
    by_key: dict[tuple[int | None, str, str, str], dict[str, object]] = {}
    last = -1
    for record in lines.records:
        at = numbers.step(record.get("step"))
        if at is not None:
            if at < last:
                by_key = {key: line for key, line in by_key.items() if key[0] is None or key[0] <= at}
            last = at
        by_key[at, repr(record.get("step")), repr(record.get("data_set")), repr(record.get("problem"))] = record
    return replace(lines, records=list(by_key.values()))
