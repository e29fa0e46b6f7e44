"""One way to runs, whatever holds them."""

import json
from collections.abc import Mapping
from pathlib import Path

from analysis.runs import Runs
from analysis.sources import run_store
from analysis.wording import exists
from qae.wandb_limits import PROJECT_PATH

_SCHEME = "wandb://"


class SourceError(ValueError):
    """A source that cannot be loaded; its text is one sentence for the user."""


def load(
    source: str | Path,
    *,
    root: Path = Path("runs"),
    filters: Mapping[str, object] | None = None,
    validation: Path | None = None,
) -> Runs:
    """The runs of a source.

    Args:
        source: one of
            a run store or a run directory in one (``runs``, ``runs/3f2a…``);
            a sweep's name in `root`;
            an offline file or a directory that holds some (``wandb/``, ``….wandb``);
            a file of verl's file logger, a folder of them, or a folder of validation dumps;
            a W&B project (``entity/project``, or ``wandb://entity/project`` where a folder of that name exists).
        root: the run store that a sweep's name is looked up in.
        filters: for a W&B project, in W&B's form.
        validation: for a file of verl's logger, the run's validation dumps.

    Raises:
        SourceError: it is none of these; it cannot be read at all.
    """
    text = str(source)
    path = Path(source)
    if text.startswith(_SCHEME):
        return _project(text.removeprefix(_SCHEME), filters)
    if exists(text):
        return _directory(path, validation) if path.is_dir() else _file(path, validation)
    manifest = root / "sweeps" / f"{text}.json"
    if "/" not in text and exists(str(manifest)):
        return run_store.load(root, sweep_runs(manifest))
    if PROJECT_PATH.fullmatch(text):
        return _project(text, filters)
    raise SourceError(
        f"'{source}' is no file or directory, no sweep in {root}, and no W&B project (entity/project): "
        "give one of these"
    )


def sweep_runs(manifest: Path) -> list[str]:
    """Run ids of a sweep's manifest.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return [str(run["id"]) for run in json.loads(manifest.read_bytes())["runs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{manifest} cannot be read ({error!r}); launch the sweep again") from error


def _project(path: str, filters: Mapping[str, object] | None) -> Runs:
    from analysis.sources import wandb_api

    try:
        return wandb_api.load(path, filters)
    except wandb_api.WandbError as error:
        raise SourceError(str(error)) from error


def _file(path: Path, validation: Path | None) -> Runs:
    from analysis.sources import verl_files, wandb_offline

    if path.suffix == ".wandb":
        return wandb_offline.load(path)
    if path.suffix == ".jsonl" and verl_files.is_logger_file(path):
        return verl_files.load(path, validation)
    raise SourceError(f"{path} is neither an offline file of W&B (.wandb) nor one of verl's file logger (.jsonl)")


def _directory(path: Path, validation: Path | None) -> Runs:
    from analysis.sources import verl_files, wandb_offline

    has_offline_files = any(path.glob("*.wandb")) or any(path.glob("*/*.wandb"))
    if any(path.glob("*/config.yaml")) and not has_offline_files:
        return run_store.load(path)
    if (path / "config.yaml").is_file() and (path / "state.json").is_file():
        return run_store.load(path.parent, [path.name])
    if verl_files.dumps(path) or any(verl_files.is_logger_file(file) for file in path.glob("*.jsonl")):
        return verl_files.load(path, validation)
    if wandb_offline.offline_files(path):
        return wandb_offline.load(path)
    raise SourceError(f"{path} holds no runs: no run directory, no .wandb file and no file of verl's logger")
