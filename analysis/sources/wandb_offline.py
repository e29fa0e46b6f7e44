"""Runs from W&B's offline files: finished, killed, being written, damaged, or continued in several directories."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from analysis.configuration import flatten
from analysis.runs import Runs
from analysis.sources import cache
from analysis.sources.assembly import LoadedRun, assemble
from analysis.sources.folders import Found, files_below
from analysis.sources.metric_names import mapped
from analysis.sources.tidy import no_metrics, superseding
from analysis.sources.wandb_log import Gap, Log, NotALogError
from analysis.sources.wandb_records import Description, HistoryColumns, described, is_history, kind_and_payload
from qae.run_directory import RunStatus

_STARTED = re.compile(r"run-(\d{8}_\d{6})-")
_KIND = "wandb-files"
_SUFFIX = ".wandb"
_NO_END = "the writer was killed or is still writing"


@dataclass(frozen=True)
class Segment:
    """An offline file, read.

    Attributes:
        path: where it lies.
        description: what it says of its run.
        metrics: columns step, name (categorical), value; of a step and name the last one.
        notes: what could not be read of it.
    """

    path: Path
    description: Description
    metrics: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def run_id(self) -> str:
        """The run's id: from its records, else from the file's name, which has it too."""
        return self.description.run_id or self.path.stem.removeprefix("run-")


def load(source: Path) -> Runs:
    """Read an offline file, or every one below a directory.

    Files of the same run are its continuations, in order of their start; of a step the last one that has it counts.
    Whatever cannot be read is left out and `Runs.notes` says how many bytes from where.
    """
    found = _found(source)
    return runs_of((read_segment(path) for path in sorted(found.paths, key=_start)), found.notes)


def runs_of(segments: Iterable[Segment], notes_on_folders: Sequence[str] = ()) -> Runs:
    """Runs from segments in order of start."""
    by_run: dict[tuple[str, str], list[Segment]] = {}
    notes = list(notes_on_folders)
    for segment in segments:
        notes += segment.notes
        by_run.setdefault((segment.description.project, segment.run_id), []).append(segment)
    loaded: list[LoadedRun] = []
    ids = [run_id for _, run_id in by_run]
    for (project, run_id), parts in by_run.items():
        unique = run_id if ids.count(run_id) == 1 else f"{project}/{run_id}"
        loaded.append(_loaded(unique, parts, notes))
    return assemble(loaded, notes)


def offline_files(source: Path) -> list[Path]:
    """The offline files at or below a path, in order of their runs' start; each once, whatever links lead to it."""
    return sorted(_found(source).paths, key=_start)


def _found(source: Path) -> Found:
    return Found((source,), ()) if source.is_file() else files_below(source, _SUFFIX)


def read_segment(path: Path) -> Segment:
    """Read an offline file, from the cache if it has not changed since."""
    name = str(path.resolve())
    try:
        status = path.stat()
    except OSError as error:
        return Segment(path, Description(), no_metrics(), (f"{path} cannot be read ({error.strerror}).",))
    key = f"{status.st_size} {status.st_mtime_ns}"
    kept = cache.read(_KIND, name)
    if kept is not None and kept.key == key:
        return _from_cache(path, kept)
    try:
        content = path.read_bytes()
    except OSError as error:
        return Segment(path, Description(), no_metrics(), (f"{path} cannot be read ({error.strerror}).",))
    segment = parse(path, content)
    if len(content) == status.st_size:
        about: dict[str, object] = {"description": asdict(segment.description), "notes": list(segment.notes)}
        cache.write(_KIND, name, cache.Entry(key, about, segment.metrics))
    return segment


def parse(path: Path, content: bytes) -> Segment:
    """Read an offline file from its bytes.

    Args:
        path: its name, for notes and the run's id.
        content: all of it.
    """
    log = Log(content)
    description = Description()
    history = HistoryColumns()
    malformed = 0
    notes: list[str] = []
    try:
        for record in log.records():
            try:
                kind, payload = kind_and_payload(record)
                if is_history(kind):
                    history.add(payload)
                else:
                    description = described(description, kind, payload)
            except (ValueError, IndexError):
                malformed += 1
    except NotALogError as error:
        return Segment(path, description, history.frame(), (f"{path} is left out: {error}.",))
    if log.gaps:
        notes.append(_gaps_note(path, log.gaps))
    elif description.exit_code is None:
        notes.append(f"{path}: its end is missing; {_NO_END}.")
    if malformed:
        notes.append(f"{path}: {malformed} records are whole but no messages of W&B; they are left out.")
    return Segment(path, description, history.frame(), tuple(notes))


def _gaps_note(path: Path, gaps: Sequence[Gap]) -> str:
    shown = ", ".join(map(str, gaps[:3])) + (f" and {len(gaps) - 3} more places" if len(gaps) > 3 else "")
    if len(gaps) == 1 and gaps[0].at_end:
        return f"{path}: {shown}; {_NO_END}."
    return f"{path}: {shown}; all other records were read."


def _from_cache(path: Path, entry: cache.Entry) -> Segment:
    about = entry.description
    values, notes = about["description"], about["notes"]
    assert isinstance(values, dict)  # noqa: S101  # written above
    assert isinstance(notes, list)  # noqa: S101  # written above
    return Segment(path, Description(**{**values, "tags": tuple(values["tags"])}), entry.metrics, tuple(notes))


def _loaded(run_id: str, parts: Sequence[Segment], notes: list[str]) -> LoadedRun:
    config = flatten({key: value for part in parts for key, value in part.description.config.items()})
    last = parts[-1].description
    status = RunStatus.RUNNING if last.exit_code is None else RunStatus.FAILED if last.exit_code else RunStatus.DONE
    metrics, remark = mapped(superseding([part.metrics for part in parts]), config)
    notes += [f"Run {run_id}: {remark}."] if remark else []
    return LoadedRun(run_id, config, status, metrics)


def _start(path: Path) -> tuple[str, str]:
    """Start of the run as its directory is named, else the file's own time; then the path."""
    found = _STARTED.search(path.parent.name)
    return (found.group(1) if found else "", str(path))
