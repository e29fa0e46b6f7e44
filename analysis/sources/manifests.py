"""Manifests, the lists of runs of a sweep: ``sweeps/<name>.json`` in a run store, by `sweeps.run_store.store`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.sources.errors import SourceError


def path_of(root: Path, name: str) -> Path:
    """Where the list of a sweep is."""
    return root / "sweeps" / f"{name}.json"


def names(root: Path) -> list[str]:
    """Names of the store's sweeps, the one launched last first; none where the store has no such folder."""
    found = []
    for path in (root / "sweeps").glob("*.json"):
        try:
            found.append((path.stat().st_mtime, path.stem))
        except OSError:  # a link to nothing
            continue
    return [name for _, name in sorted(found, reverse=True)]


def has(root: Path, name: str) -> bool:
    """Whether a word is the name of a sweep of the store."""
    return "/" not in name and name in names(root)


@dataclass(frozen=True)
class Manifest:
    """What the list of a sweep says of its launches.

    Attributes:
        command: the words of the last one; None where they are damaged.
        overrides: what the sweep set for each run, by id; None where that is damaged.
    """

    command: tuple[str, ...] | None
    overrides: Mapping[str, tuple[str, ...] | None]


def read(root: Path, name: str) -> Manifest:
    """The list of a sweep.

    Raises:
        SourceError: it is damaged or not there.
    """
    path = path_of(root, name)
    try:
        content = json.loads(path.read_bytes())
        overrides = {str(run["id"]): _words(run.get("overrides")) for run in content["runs"]}
        return Manifest(_words(content.get("command")), overrides)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else repr(error)
        raise SourceError(f"{path} cannot be read ({reason}); launch the sweep again") from error


def _words(value: object) -> tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, list) else None


def run_ids(root: Path, name: str) -> list[str]:
    """Run ids of a sweep.

    Raises:
        SourceError: its list is damaged or not there.
    """
    return list(read(root, name).overrides)
