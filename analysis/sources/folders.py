"""Folders and links as they lie on disk: what is there, what cannot be looked into, and nothing twice."""

import os
from dataclasses import dataclass
from pathlib import Path

from analysis.sources.errors import SourceError


@dataclass(frozen=True)
class Found:
    """Files below a folder.

    Attributes:
        paths: each file once, under its own path where it is reached by a link too.
        notes: sentences on what could not be looked into.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def is_file(path: Path) -> bool:
    """Whether there is such a file, by links too.

    Raises:
        SourceError: it cannot be looked at.
    """
    try:
        return path.is_file()
    except OSError as error:  # no permission, a name that is too long
        raise SourceError(_unreadable(path, error)) from error


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, by links too.

    Raises:
        SourceError: it cannot be looked at.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise SourceError(_unreadable(path, error)) from error


def real(path: Path) -> Path:
    """The path without links and dots; a dead link gives the path that it points to."""
    return Path(os.path.realpath(path))


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, hidden names left out, in order of names.

    Raises:
        SourceError: it cannot be looked into.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise SourceError(_unreadable(folder, error)) from error


def files_below(folder: Path, suffix: str) -> Found:
    """Files with an ending anywhere below a folder. Links are followed; a loop of them ends where it began."""
    notes: list[str] = []
    found: dict[Path, None] = {}
    seen: set[Path] = set()
    base = real(folder)

    def remember(error: OSError) -> None:
        notes.append(f"{_unreadable(Path(str(error.filename)), error)}; what it holds is left out.")

    for inside, folders, names in os.walk(folder, onerror=remember, followlinks=True):
        here = real(Path(inside))
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        found |= dict.fromkeys(path for name in names if name.endswith(suffix) and (path := real(here / name)).exists())
        # Links to logs, which W&B makes beside its folders, are nobody's loss.
        candidates = (here / name for name in names if name.endswith(suffix) or "." not in name)
        notes += [dead_link(path) for path in candidates if path.is_symlink() and not path.exists()]
    paths = (folder / path.relative_to(base) if path.is_relative_to(base) else path for path in found)
    return Found(tuple(paths), tuple(notes))


def dead_link(link: Path) -> str:
    """A sentence on a link to nothing."""
    return f"{link} is a link to nothing and is left out."


def _unreadable(path: Path, error: OSError) -> str:
    return f"{str(path)[:200]} cannot be read ({error.strerror})"
