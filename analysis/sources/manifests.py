"""Manifests, the lists of runs of a sweep: ``sweeps/<name>.json`` in a run store, by `sweeps.run_store.store`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

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


def read(root: Path, name: str) -> Mapping[str, object]:
    """What the list of a sweep holds: command, runs with their overrides, and more.

    Raises:
        SourceError: it is damaged or not there.
    """
    path = path_of(root, name)
    try:
        content = json.loads(path.read_bytes())
        for run in content["runs"]:
            str(run["id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else repr(error)
        raise SourceError(f"{path} cannot be read ({reason}); launch the sweep again") from error
    return cast("Mapping[str, object]", content)


def run_ids(root: Path, name: str) -> list[str]:
    """Run ids of a sweep.

    Raises:
        SourceError: its list is damaged or not there.
    """
    runs = cast("list[Mapping[str, object]]", read(root, name)["runs"])
    return [str(run["id"]) for run in runs]
