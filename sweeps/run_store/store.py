"""The run store: a folder of run directories, and a manifest for each sweep."""

import fcntl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from qae.console.text import FILE_NAME_BYTES, is_file_name
from qae.errors import ConfigError
from qae.files.layout import LayoutError
from qae.run_directory import RunDirectory, RunState, RunStatus, write_atomic
from sweeps.run_store import configuration
from sweeps.run_store.locking import AlreadyRunningError, exclusive, standing


class StoreError(ValueError):
    """Something in the run store cannot be read; its text is one sentence for the user."""


class StoreLayoutError(StoreError):
    """A run of the store whose layout this toolkit does not know."""


@dataclass(frozen=True)
class ManifestRun:
    """A run of a sweep.

    Attributes:
        id: its run id.
        overrides: what the sweep set for it, ``key=value``.
    """

    id: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """`sweeps/<name>.json`: which runs belong to a sweep.

    Attributes:
        name: the sweep's name.
        command: the command line that launched it last.
        created: seconds since the epoch of the last launch.
        axes: keys that differ between its runs, with their values.
        runs: its runs, in order of first launch.
    """

    name: str
    command: tuple[str, ...]
    created: float
    axes: Mapping[str, tuple[str, ...]]
    runs: tuple[ManifestRun, ...]

    def label(self, run: ManifestRun) -> str:
        """A run in a few words; see `label`."""
        return label(run.overrides, self.axes)


@dataclass(frozen=True)
class RunStore:
    """All runs below a root directory."""

    root: Path

    @property
    def cache(self) -> Path:
        """Where pretrained starts are kept."""
        return self.root / "cache"

    def directory(self, run_id: str) -> RunDirectory:
        """The directory of a run, whether it exists or not."""
        return RunDirectory(self.root / run_id)

    def create(self, run_id: str, config: Mapping[str, object]) -> RunDirectory:
        """Make the run's directory with its configuration; one that a process runs right now is left alone.

        Where it exists already the new configuration replaces the old one: they compute the same, and what they
        may differ in (tracking, threads, how often to save) holds for the steps to come. The sections `sweep` and
        `search`, which say how it was launched, are no part of the run. An earlier request to end it is taken back.
        """
        # Here, so that listing thousands of runs does not wait for it.
        from sweeps import trainers

        directory = self.directory(run_id)
        own = {key: value for key, value in config.items() if key not in ("sweep", "search")}
        with suppress(AlreadyRunningError), exclusive(directory, patience=0):
            directory.write_layout()  # first: a folder with a configuration is a run
            write_atomic(directory.config, configuration.dumped(own).encode())
            directory.end_request.unlink(missing_ok=True)
            if not directory.state.exists():
                total = trainers.of(config).total_steps(config)
                directory.write_state(RunState(RunStatus.PLANNED, total_steps=total))
        return directory

    def state(self, directory: RunDirectory) -> RunState:
        """Where a run stands now; see `sweeps.run_store.locking.standing`.

        Raises:
            StoreLayoutError: the directory is one of a newer toolkit.
            StoreError: its state.json is damaged.
        """
        try:
            return standing(directory, directory.read_state())
        except LayoutError as error:
            raise StoreLayoutError(str(error)) from error
        except ValueError as error:
            raise StoreError(str(error)) from error

    def runs(self) -> list[RunDirectory]:
        """Every run directory below the root, by id; hidden ones, which forks are made in, are none yet."""
        if not self.root.is_dir():
            return []
        return sorted(
            (
                RunDirectory(path)
                for path in self.root.iterdir()
                if (path / "config.yaml").is_file() and not _again(path) and not path.name.startswith(".")
            ),
            key=lambda directory: directory.run_id,
        )

    def manifest(self, name: str) -> Manifest:
        """Read a sweep's manifest.

        Raises:
            FileNotFoundError: there is no sweep of that name.
            StoreError: it is damaged.
        """
        path = self._manifest_path(name)
        try:
            values = orjson.loads(path.read_bytes())
            return Manifest(
                name=values["name"],
                command=tuple(values["command"]),
                created=values["created"],
                axes={key: tuple(axis) for key, axis in values["axes"].items()},
                runs=tuple(ManifestRun(run["id"], tuple(run["overrides"])) for run in values["runs"]),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is not a sweep's manifest ({error!r}); move it away to start anew") from error

    def sweeps(self) -> list[str]:
        """Names of all sweeps, the one launched last first."""
        paths = (self.root / "sweeps").glob("*.json")
        return [path.stem for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]

    def record_sweep(self, name: str, command: Sequence[str], runs: Sequence[ManifestRun]) -> Manifest:
        """Write a sweep's manifest; runs launched earlier under the same name stay in it."""
        with _exclusive(self.root / "sweeps" / ".lock"):
            try:
                earlier = self.manifest(name).runs
            except FileNotFoundError:
                earlier = ()
            everything = tuple({run.id: run for run in (*earlier, *runs)}.values())
            manifest = Manifest(
                name, tuple(command), time.time(), axes([run.overrides for run in everything]), everything
            )
            write_atomic(self._manifest_path(name), orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
            return manifest

    def _manifest_path(self, name: str) -> Path:
        return self.root / "sweeps" / f"{checked_name(name)}.json"


def checked_name(name: object) -> str:
    """A sweep's name that can be a file's.

    Raises:
        ConfigError: it cannot.
    """
    if not isinstance(name, str) or not is_file_name(name):
        raise ConfigError(
            "sweep.name",
            name,
            f"files get this name: give printable text of at most {FILE_NAME_BYTES} bytes without '/', and no dot, "
            "dash or blank at its start",
        )
    return name


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def axes(all_overrides: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Keys that take more than one value over the runs (absent counts as one), with their values.

    Args:
        all_overrides: each run's ``key=value`` overrides.
    """
    settings = [_settings(overrides) for overrides in all_overrides]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    values = {key: tuple(dict.fromkeys(setting.get(key, "") for setting in settings)) for key in keys}
    return {key: found for key, found in values.items() if len(found) > 1}


def label(overrides: Sequence[str], varying: Mapping[str, object]) -> str:
    """A run in a few words: its overrides of the keys that vary, without their long prefixes; all if none does."""
    settings = _settings(overrides)
    shown = {key: value for key, value in settings.items() if key in varying} if varying else settings
    return " ".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in shown.items()) or "defaults"


def _settings(overrides: Sequence[str]) -> dict[str, str]:
    return {key: value for key, _, value in (override.lstrip("+").partition("=") for override in overrides)}


def _again(path: Path) -> bool:
    """Whether a folder is a link to one that lies beside it, and so the same run a second time."""
    return path.is_symlink() and path.resolve().parent == path.parent.resolve()
