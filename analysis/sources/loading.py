"""One way to runs, whatever holds them."""

from collections.abc import Mapping
from pathlib import Path

from analysis.runs.frames import Runs
from analysis.runs.identity import DEFAULT, ArmRule, UnknownKeyError
from analysis.sources import manifests, run_store
from analysis.sources.errors import SourceError
from analysis.sources.folders import entries, is_file, is_folder, real
from analysis.sources.joining import join
from analysis.sources.wandb import names as wandb_names
from analysis.wording import hint
from qae.console.text import brief, file_name

_SHOWN = 5


def load(
    source: str | Path,
    *,
    root: Path = Path("runs"),
    filters: Mapping[str, object] | None = None,
    validation: Path | None = None,
    rule: ArmRule = DEFAULT,
) -> Runs:
    """The runs of a source.

    Args:
        source: one of
            a sweep's name in `root`;
            a run store or a run directory (``runs``, ``runs/3f2a…``);
            an offline file or a directory that holds some (``wandb/``, ``….wandb``);
            a file of verl's file logger, a folder of them, or a folder of validation dumps;
            a W&B project (``entity/project``, or ``wandb://entity/project`` where a folder ``entity`` exists), a run of
            it, or the address of either. Links are followed; ``~`` is the home folder.
        root: the run store that a sweep's name is looked up in.
        filters: for a W&B project, in W&B's form.
        validation: for a file of verl's logger, the run's validation dumps.
        rule: which keys are seeds and which set no arms apart, where the user knows better.

    Raises:
        SourceError: it is none of these; it cannot be read at all; a key of the rule is in no run.
    """
    try:
        return join([_load(source, root, filters, validation)], rule)
    except UnknownKeyError as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        raise SourceError(f"{error.filename or source} cannot be read ({error.strerror})") from error


def is_place(source: str) -> bool:
    """Whether a word is a file, a folder or something on W&B, and so no name of a sweep or figure.

    Raises:
        SourceError: it cannot be looked at.
    """
    path = _path(source)
    return is_on_wandb(source) or "/" in source or is_file(path) or is_folder(path) or path.is_symlink()


def shown(source: str) -> str:
    """A source as captions name it: a project by its name, a path by its last two names.

    Where a path lies on this machine is nobody's business in a page that is shared.
    """
    if is_on_wandb(source):
        return str(wandb_names.parse(source))
    path = real(_path(source))
    return "/".join(path.parts[-2:]).replace("//", "/") if is_file(path) or is_folder(path) else source


def name_of(source: str) -> str:
    """A name for files about a source, without an ending."""
    text = shown(source) if is_on_wandb(source) else source
    return file_name(text, real(_path(source)).name or "report")


def _load(source: str | Path, root: Path, filters: Mapping[str, object] | None, validation: Path | None) -> Runs:
    text = str(source)
    if is_on_wandb(text):
        return _project(text, filters)
    if manifests.has(root, text):
        return run_store.load(root, manifests.run_ids(root, text))
    path = _path(text)
    if is_file(path):
        return _file(path, validation)
    if is_folder(path):
        return _folder(path, validation)
    if path.is_symlink():
        raise SourceError(f"{text} is a link to {real(path)}, which is not there")
    return _unknown(text, root, filters)


def _path(text: str) -> Path:
    if not text:
        raise SourceError(f"an empty name is no source; {allowed()}")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise SourceError(f"{text} cannot be found: {error}") from error


def is_on_wandb(text: str) -> bool:
    """Whether a text means W&B whatever lies on this machine: it is an address or begins with the scheme."""
    return text.startswith(wandb_names.SCHEME) or wandb_names.is_address(text)


def _unknown(text: str, root: Path, filters: Mapping[str, object] | None) -> Runs:
    """The runs of a W&B project, for a word that is no file, folder or sweep but may be a project's name.

    A path whose folder is there is a mistake in its last name; W&B is asked for nothing then.
    """
    if "/" not in text.rstrip("/"):
        known = manifests.names(root)
        near = f"; {hint(text, known)}" if known else ""
        raise SourceError(
            f"'{brief(text)}' is no file or directory, no sweep in {root}, and no W&B project{near}; {allowed()}"
        )
    parent = _path(text).parent
    if is_folder(Path(text.partition("/")[0] or "/")) or text.startswith(("/", ".", "~")):
        there = f"{parent} has {_some(parent)}" if is_folder(parent) else f"there is no folder {parent}"
        raise SourceError(
            f"'{brief(text)}' is no file or directory, no sweep in {root}, and W&B is not asked for a path; "
            f"{there}. A project of that name is {wandb_names.SCHEME}{text.strip('/')}"
        )
    try:
        return _project(text, filters)
    except SourceError as error:
        raise SourceError(
            f"'{brief(text)}' is no file or directory, no sweep in {root}, and as a W&B project: {error}"
        ) from error


def allowed() -> str:
    """What a source may be, as the end of a sentence."""
    return f"give a sweep's name, a file, a folder, or a W&B project ({wandb_names.FORMS})"


def _some(folder: Path) -> str:
    names = [path.name for path in entries(folder)]
    shown = ", ".join(names[:_SHOWN])
    return (shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more") or "nothing"


def _project(path: str, filters: Mapping[str, object] | None) -> Runs:
    from analysis.sources.wandb import api as wandb_api

    try:
        return wandb_api.load(path, filters)
    except wandb_api.WandbError as error:
        raise SourceError(str(error)) from error


def _file(path: Path, validation: Path | None) -> Runs:
    from analysis.sources.verl import files as verl_files
    from analysis.sources.wandb import offline as wandb_offline

    # A link may have any name; what the file is called tells what it is.
    suffixes = {path.suffix, real(path).suffix}
    if ".wandb" in suffixes:
        return wandb_offline.load(path)
    if ".jsonl" in suffixes and verl_files.is_logger_file(path):
        return verl_files.load(path, validation)
    raise SourceError(
        f"{path} is neither an offline file of W&B (.wandb) nor one of verl's file logger (.jsonl with a line "
        '{"step": …, "data": {…}} a step, which verl writes with trainer.logger=[console,file])'
    )


def _folder(path: Path, validation: Path | None) -> Runs:
    from analysis.sources.verl import files as verl_files
    from analysis.sources.wandb import offline as wandb_offline

    inside = entries(path)
    if run_store.is_run(path):
        own = real(path)
        return run_store.load(own.parent, [own.name])
    if not _holds_offline_files(inside) and run_store.ids(path):
        return run_store.load(path)
    logs = [file for file in inside if file.suffix == ".jsonl" and file.is_file()]
    if verl_files.dumps(path) or any(verl_files.is_logger_file(file) for file in logs):
        return verl_files.load(path, validation)
    if wandb_offline.offline_files(path):
        return wandb_offline.load(path)
    stores = [f"{path / each.name}" for each in inside if each.is_dir() and run_store.ids(each)]
    below = f"; {' and '.join(stores[:_SHOWN])} {'does' if len(stores) == 1 else 'do'}: give one" if stores else ""
    raise SourceError(f"{path} holds no runs: no run directory, no .wandb file and no file of verl's logger{below}")


def _holds_offline_files(inside: list[Path]) -> bool:
    """Whether a folder is of W&B: a store's runs keep such files one level further down."""
    return any(path.suffix == ".wandb" or any(file.suffix == ".wandb" for file in _inside(path)) for path in inside)


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # a file, or a folder that cannot be looked into, which says so where it is read
        return []
