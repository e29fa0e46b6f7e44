"""A copy of the code as it was at launch, for jobs that start later: editing the checkout does not change them.

Copies lie under ``<root>/sweeps/code/<hash>/``, named by what they hold: sweeps launched from the same code share one.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from qae.errors import ConfigError
from sweeps.run_store import checkout

_NOTE = ".qae-snapshot.json"
_PACKAGES = ("qae", "sweeps", "slurm", "analysis", "hydra_plugins")
_LARGEST = 100_000_000
_HASH_LENGTH = 16


@dataclass(frozen=True)
class Source:
    """Which code a copy was made of.

    Attributes:
        commit: that was checked out; None outside a git checkout.
        diff: uncommitted changes of tracked files against it; None where there are none.
        untracked: files of the copy that git did not track.
    """

    commit: str | None
    diff: str | None
    untracked: tuple[str, ...] = ()


def take(root: Path, code: Path = checkout.CODE) -> Path:
    """Copy the code as it is now, unless the same is there already.

    In a git checkout: tracked files and untracked ones that git does not ignore. Elsewhere: the installed packages.
    Permissions are the umask's, times a file's own execute bit.

    Args:
        root: of the run store.
        code: the toolkit's code.

    Returns:
        the copy's folder.

    Raises:
        ConfigError: the files are too large to be code.
    """
    source, files = _source(code, root)
    _check_size(code, files)
    folder = root / "sweeps" / "code"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        digest = hashlib.sha256(f"{source.commit}\0".encode())
        for name in files:
            digest.update(_copy(code / name, temporary / name, name))
        (temporary / _NOTE).write_bytes(orjson.dumps(asdict(source), option=orjson.OPT_INDENT_2))
        target = folder / digest.hexdigest()[:_HASH_LENGTH]
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def source_of(code: Path = checkout.CODE) -> Source:
    """Which code this is: what a copy notes of itself, else what git says."""
    try:
        note = orjson.loads((code / _NOTE).read_bytes())
    except FileNotFoundError:
        return Source(checkout.commit(code), checkout.diff(code))
    return Source(note["commit"], note["diff"], tuple(note["untracked"]))


def _source(code: Path, root: Path) -> tuple[Source, Sequence[str]]:
    """The code's source and its files, relative and in order."""
    if (code / _NOTE).exists():  # launched from a copy
        return source_of(code), sorted(name for name in _below(code, (".",)) if name != _NOTE)
    top = checkout.git(code, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != code.resolve():
        return Source(None, None), sorted(_below(code, (*_PACKAGES, "sweep.py")))
    tracked = _names(code, "--cached")
    untracked = _names(code, "--others", "--exclude-standard") - tracked
    files = {name for name in tracked | untracked if _is_file(code / name) and not _lies_in(code / name, root)}
    return Source(checkout.commit(code), checkout.diff(code), _readable(untracked & files)), sorted(files)


def _names(code: Path, *which: str) -> set[str]:
    listed = checkout.git(code, "ls-files", "-z", *which)
    if listed is None:
        raise ConfigError("sweep.snapshot", True, f"git cannot list the files of {code}; give false to run from it")
    return {name for name in listed.split("\0") if name}


def _readable(names: Collection[str]) -> tuple[str, ...]:
    return tuple(os.fsencode(name).decode(errors="replace") for name in sorted(names))


def _below(code: Path, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        found = [code / name] if (code / name).is_file() else (code / name).rglob("*")
        for path in found:
            if _is_file(path) and "__pycache__" not in path.parts:
                yield str(path.relative_to(code))


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _lies_in(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.absolute().parents


def _check_size(code: Path, files: Sequence[str]) -> None:
    sizes = {name: (code / name).lstat().st_size for name in files}
    if sum(sizes.values()) > _LARGEST:
        largest = max(sizes, key=lambda name: sizes[name])
        raise ConfigError(
            "sweep.snapshot",
            True,
            f"the code in {code} has {sum(sizes.values()) / 1e6:.0f} MB, the largest file is {largest}; "
            "list what is no code in .gitignore, or give false to run from the checkout",
        )


def _copy(path: Path, target: Path, name: str) -> bytes:
    """Copy a file or a link; what its name, kind and content add to the hash, of the very bytes that were copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        kind, content = b"link", os.fsencode(path.readlink())
        target.symlink_to(os.fsdecode(content))
    else:
        content = path.read_bytes()
        target.write_bytes(content)
        executable = bool(path.stat().st_mode & 0o100)
        kind = b"program" if executable else b"file"
        if executable:
            mode = target.stat().st_mode
            target.chmod(mode | (mode & 0o444) >> 2)  # whoever may read it may run it
    return b"\0".join((os.fsencode(name), kind, hashlib.sha256(content).digest()))
