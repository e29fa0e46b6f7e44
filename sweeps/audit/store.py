"""What is wrong with a store: manifests against directories, and what belongs to nobody."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qae.run_directory import RunDirectory
from sweeps.audit.evidence import is_young, old_temporaries
from sweeps.audit.finding import Finding, Kind, Mend, error, warning
from sweeps.run_store.locking import LEASE_SECONDS
from sweeps.run_store.store import RunStore, StoreError

# Directories of ten thousand runs are made before the first of them is listed.
_LAUNCH_SECONDS = 600.0
_RUN_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Contents:
    """What lies in a store.

    Attributes:
        runs: ids of the runs, which are folders with a configuration.
        without_config: folders whose name is a run's id, and that have none.
        orphans: runs that no sweep lists, and no launch is about to list.
        sweeps: run ids by the names of the sweeps that list them.
        unreadable: manifests that cannot be read, a sentence each.
        temporaries: files and folders that a killed writer left, relative to the store.
    """

    runs: tuple[str, ...]
    without_config: tuple[str, ...]
    orphans: tuple[str, ...]
    sweeps: Mapping[str, Sequence[str]]
    unreadable: tuple[str, ...]
    temporaries: tuple[str, ...]


def look(store: RunStore) -> Contents:
    """What lies in a store, in which others may be launching runs."""
    # Before the directories: a launch makes those of its runs before it lists the runs.
    sweeps, unreadable = _manifests_of(store)
    runs = store.runs()
    folders = sorted(path for path in store.root.iterdir() if _RUN_ID.fullmatch(path.name) and path.is_dir())
    listed_by_now = {run for listed in _manifests_of(store)[0].values() for run in listed}
    unlisted = [directory for directory in runs if directory.run_id not in listed_by_now]
    places = (store.root, store.root / "sweeps", store.root / "sweeps" / "batches", store.root / "sweeps" / "code")
    temporaries = [path.relative_to(store.root) for place in (*places, store.cache) for path in old_temporaries(place)]
    return Contents(
        runs=tuple(directory.run_id for directory in runs),
        without_config=tuple(
            path.name for path in folders if not (path / "config.yaml").exists() and not is_young(path, LEASE_SECONDS)
        ),
        orphans=() if unreadable else tuple(each.run_id for each in unlisted if not _is_being_launched(each)),
        sweeps=sweeps,
        unreadable=tuple(unreadable),
        temporaries=tuple(sorted(map(str, temporaries))),
    )


def _manifests_of(store: RunStore) -> tuple[dict[str, Sequence[str]], list[str]]:
    """Run ids by sweep, and a sentence on each manifest that cannot be read."""
    sweeps: dict[str, Sequence[str]] = {}
    unreadable = []
    for name in sorted(store.sweeps()):
        try:
            sweeps[name] = tuple(run.id for run in store.manifest(name).runs)
        except (StoreError, ValueError, OSError) as wrong:
            unreadable.append(str(wrong))
    return sweeps, unreadable


def _is_being_launched(directory: RunDirectory) -> bool:
    """Whether a launch may be about to list the run: it was made just now and never started."""
    try:
        started = directory.read_state().attempt > 0
    except (OSError, ValueError):
        started = True
    return not started and is_young(directory.config, _LAUNCH_SECONDS)


def check(contents: Contents) -> list[Finding]:
    """Everything that is wrong between manifests and directories."""
    return [*_manifests(contents), *_directories(contents), *_temporaries(contents)]


def _manifests(contents: Contents) -> Iterator[Finding]:
    for sentence in contents.unreadable:
        yield error(Kind.MANIFEST, "", sentence)
    runs = set(contents.runs)
    for name, listed in contents.sweeps.items():
        for run in listed:
            if run not in runs and run not in contents.without_config:
                text = f"sweep {name} lists it, and it has no directory: somebody removed or moved it"
                yield error(Kind.NO_DIRECTORY, run, f"{text}; put it back, or the sweep's command computes it anew")


def _directories(contents: Contents) -> Iterator[Finding]:
    for run in contents.without_config:
        text = "its directory has no config.yaml, so no command sees it; launch its sweep again, which writes it anew"
        yield error(Kind.CONFIG, run, text)
    for run in contents.orphans:
        text = f"no sweep lists its directory; `qae table {run}` shows it, and moving it away forgets it"
        yield warning(Kind.ORPHAN, run, text)


def _temporaries(contents: Contents) -> Iterator[Finding]:
    for name in contents.temporaries:
        text = f"{name} is what a killed writer left; --repair removes it"
        yield warning(Kind.TEMPORARY_FILE, "", text, Mend.REMOVE_TEMPORARY, name)


def is_store(root: Path) -> bool:
    """Whether a folder holds runs or sweeps."""
    return (root / "sweeps").is_dir() or bool(RunStore(root).runs())
