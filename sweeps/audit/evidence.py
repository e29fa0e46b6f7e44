"""The content of a run's directory, read so that a run in progress does not look damaged."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from qae.errors import ConfigError
from qae.files import json_lines, tensor_files
from qae.run_directory import RunDirectory, RunState
from qae.tracking import tracked_steps
from qae.tracking.tracked_steps import Tracked
from sweeps import trainers
from sweeps.audit.lines import Lines, repeated, split
from sweeps.run_store.locking import LEASE_SECONDS, is_locked
from sweeps.worker import best
from sweeps.worker.best import Best

_LOOKS = 3
_DECIDE_NUMBERS = ("commit", "diff", "versions", "python", "host", "cpu", "threads")  # of an attempt
_ZIPPED = ".pt"  # torch writes zip archives, which keep a checksum for each of their parts


@dataclass(frozen=True)
class Checkpoints:
    """What a run continues from.

    Attributes:
        steps: of those that the trainer takes for complete, in order.
        damaged: files of theirs that cannot be read, with why.
    """

    steps: tuple[int, ...] = ()
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """A run's directory.

    Attributes:
        run: its id.
        live: whether a process runs it, here or on a machine that shares the file system.
        config: what config.yaml holds; a sentence where it cannot be read.
        state: what state.json says; a sentence where it cannot be read, None where it is not there.
        metrics, evaluation, tokens, guard: the files of lines.
        alike: whether all attempts had the same machine, code and packages, as far as provenance.json says.
        checkpoints: what it continues from.
        best: the checkpoint that it keeps for its validation; a sentence where its record cannot be read.
        best_steps: steps of the checkpoints kept so.
        temporaries: names of files that a killed writer left, relative to the directory.
        tracked: what W&B's files hold; None where there are none, or nothing that reads them.
    """

    run: str
    live: bool
    config: Mapping[str, object] | str
    state: RunState | str | None
    metrics: Lines
    evaluation: Lines
    tokens: Lines
    guard: Lines
    alike: bool = True
    checkpoints: Checkpoints = Checkpoints()
    best: Best | str | None = None
    best_steps: tuple[int, ...] = ()
    temporaries: tuple[str, ...] = ()
    tracked: Tracked | None = None


def gather(directory: RunDirectory, *, checksums: bool = False, held: bool = False) -> Evidence:
    """Read a run's directory; one that begins or ends meanwhile is read again.

    Args:
        directory: the run.
        checksums: whether to read checkpoints whole and to compare their checksums.
        held: whether the caller holds the run's lock, so that nobody else runs it.
    """
    for _ in range(_LOOKS):
        before = _content(directory.state)
        live = not held and is_locked(directory)
        evidence = _read(directory, checksums=checksums, live=live)
        unchanged = _content(directory.state) == before and (held or is_locked(directory) == live)
        if live or unchanged:
            return evidence
    return _read(directory, checksums=checksums, live=True)


def old_temporaries(folder: Path) -> Iterator[Path]:
    """Files and folders that a writer has given no name yet and that nobody has touched for two minutes."""
    for path in folder.glob(".*"):
        temporary = path.name.endswith(".tmp") or (path.name.startswith(".fork-") and path.is_dir())
        if temporary and not is_young(path, LEASE_SECONDS):
            yield path


def is_young(path: Path, seconds: float) -> bool:
    """Whether a file, or anything in a folder, was written within the last seconds, or has just gone."""
    try:
        within = path.rglob("*") if path.is_dir() else ()
        newest: float = max(each.lstat().st_mtime for each in (path, *within))
    except FileNotFoundError:
        return True
    return time.time() - newest < seconds


def _read(directory: RunDirectory, *, checksums: bool, live: bool) -> Evidence:
    # Metrics first: whatever a line of theirs tells of was on disk before it.
    metrics = _lines(directory.metrics)
    config = _config(directory)
    evaluation, tokens, guard = map(_lines, (directory.evaluation, directory.tokens, directory.guard))
    state = _state(directory)
    if live:
        return Evidence(directory.run_id, live, config, state, metrics, evaluation, tokens, guard)
    complete = _complete(config, directory.checkpoints)
    kept = _complete(config, directory.best_checkpoint)
    damaged = [*_damaged(directory, complete, whole=checksums), *_damaged(directory, kept, whole=checksums)]
    folders = (directory.path, directory.checkpoints, directory.best_checkpoint)
    temporaries = [path.relative_to(directory.path) for folder in folders for path in old_temporaries(folder)]
    return Evidence(
        directory.run_id, live, config, state, metrics, evaluation, tokens, guard,
        alike=not repeated(metrics) or _attempts_alike(directory),
        checkpoints=Checkpoints(tuple(sorted(complete)), tuple(damaged)),
        best=_best(directory),
        best_steps=tuple(sorted(kept)),
        temporaries=tuple(sorted(map(str, temporaries))),
        tracked=_tracked(directory),
    )  # fmt: skip


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _lines(path: Path) -> Lines:
    return split(path.name, _content(path))


def _config(directory: RunDirectory) -> Mapping[str, object] | str:
    try:
        config = yaml.load(directory.config.read_bytes(), Loader=yaml.CSafeLoader)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except (yaml.YAMLError, ValueError) as error:
        return f"it is no YAML ({str(error).splitlines()[0]})"
    return config if isinstance(config, dict) else "it holds no configuration"


def _state(directory: RunDirectory) -> RunState | str | None:
    if not directory.state.exists():
        return None
    try:
        return directory.read_state()
    except (OSError, ValueError) as error:
        return str(error)


def _attempts_alike(directory: RunDirectory) -> bool:
    try:
        provenance: Any = json_lines.loads(directory.provenance.read_bytes())
        return len({repr([each.get(name) for name in _DECIDE_NUMBERS]) for each in provenance["attempts"]}) <= 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True


def _complete(config: Mapping[str, object] | str, folder: Path) -> Mapping[int, Path]:
    """The checkpoints in a folder by the rule of the run's trainer; none where that trainer is not installed here."""
    if isinstance(config, str) or not folder.is_dir():
        return {}
    try:
        return trainers.of(config).checkpoints(folder)
    except (ConfigError, OSError):
        return {}


def _damaged(directory: RunDirectory, complete: Mapping[int, Path], *, whole: bool) -> Iterator[str]:
    for checkpoint in complete.values():
        files = [checkpoint] if checkpoint.is_file() else sorted(checkpoint.rglob(f"*{_ZIPPED}"))
        for path in files:
            if path.suffix == _ZIPPED and (why := _flaw(path, whole=whole)):
                yield f"{path.relative_to(directory.path)} {why}"


def _flaw(path: Path, *, whole: bool) -> str | None:
    """Why torch could not load a file; its parts are compared with their checksums only where that is asked for."""
    try:
        wrong = tensor_files.flaw(path, whole=whole)
    except OSError as error:
        wrong = str(error)
    return f"is damaged ({wrong})" if wrong else None


def _best(directory: RunDirectory) -> Best | str | None:
    try:
        return best.recorded(directory)
    except OSError as error:
        return f"validation.json cannot be read ({error.strerror})"


def _tracked(directory: RunDirectory) -> Tracked | None:
    if not (directory.path / "wandb").is_dir():
        return None
    read = tracked_steps.reader()
    return read(directory.path) if read else None
