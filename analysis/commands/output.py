"""Where figures and reports go: below the run store, or the working directory where the store cannot be written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from qae.console.command_line import MistakeError


def folder(wanted: Path | None, root: Path, below: Path) -> Path:
    """A folder to write files to.

    Another user's store can be read and not written. What is made from it goes to the working directory then, and a
    sentence on stderr names both.

    Args:
        wanted: what ``--out`` says; None for the usual place.
        root: the run store.
        below: the usual place, relative to the store.

    Raises:
        MistakeError: a wanted place cannot be written, or neither of the usual ones.
    """
    if wanted is not None:
        if hindrance := _hindrance(wanted):
            raise MistakeError(f"--out {wanted} cannot be written ({hindrance})")
        return wanted
    usual, here = root / below, Path.cwd() / below
    hindrance = _hindrance(usual)
    if hindrance is None:
        return usual
    if _hindrance(here) is not None:
        raise MistakeError(f"{usual} cannot be written ({hindrance}), nor can {here}; --out names another place")
    click.echo(f"{usual} cannot be written ({hindrance}); what is made goes to {here}", err=True)
    return here


def file(wanted: Path | None, root: Path, below: Path) -> Path:
    """A file to write; see `folder`."""
    if wanted is not None:
        if hindrance := _hindrance(wanted.parent):
            raise MistakeError(f"--out {wanted} cannot be written ({hindrance})")
        return wanted
    return folder(None, root, below.parent) / below.name


@contextmanager
def sentences() -> Iterator[None]:
    """What cannot be written while the block runs ends the command with a sentence.

    Raises:
        MistakeError: a file could not be written.
    """
    try:
        yield
    except OSError as error:
        what, why = error.filename or "a file", error.strerror or str(error) or type(error).__name__
        raise MistakeError(f"{what} cannot be written ({why}); --out names another place") from error


def _hindrance(place: Path) -> str | None:
    """Why no file can be written to a folder, or the folder cannot be made; None if both work."""
    existing = place.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing}: {os.strerror(errno.ENOTDIR)}"
    if os.access(existing, os.W_OK | os.X_OK):
        return None
    read_only = os.statvfs(existing).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if read_only else errno.EACCES)
