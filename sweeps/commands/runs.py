"""What commands on runs share, and those that need files only: `qae logs` and `qae gc`."""

import codecs
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qae.console.command_line import Command, MistakeError, root_option

if TYPE_CHECKING:
    from sweeps.run_store.selection import StoredRun

_POLL_SECONDS = 0.3
_CHUNK_BYTES = 1 << 20


def where_option(function: Command) -> Command:
    """``--where CONDITION``, any number of times."""
    return click.option(
        "--where",
        multiple=True,
        metavar="CONDITION",
        help="Only runs for which it holds, such as 'algorithm.quantile_k>0.4' or regularizer=clip_cov; repeatable.",
    )(function)


def selected(root: Path, targets: Sequence[str] = (), where: Sequence[str] = ()) -> "list[StoredRun]":
    """The runs that a command names; a mistake is a sentence."""
    from sweeps.run_store.selection import SelectionError, select
    from sweeps.run_store.store import RunStore

    try:
        return select(RunStore(root.expanduser().resolve()), targets, where)
    except SelectionError as error:
        raise MistakeError(str(error)) from error


@click.command(short_help="What a run printed.")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on as the run prints, until it ends.")
@root_option
def logs(run: str, root: Path, *, follow: bool) -> None:
    """Print what the last attempt of RUN (its id or the beginning of it) printed."""
    chosen, *others = selected(root, [run])
    if others:
        raise MistakeError(f"'{run}' is a sweep; name one of its runs, such as {chosen.run_id}")
    if not follow:
        path = _newest_log(chosen)
        if path is None:
            raise MistakeError(f"run {chosen.run_id} is {chosen.state.status} and has printed nothing yet")
        click.echo(path.read_bytes().decode(errors="replace"), nl=False)
        return
    for text in _following(chosen):
        click.echo(text, nl=False)


@click.command(short_help="Remove checkpoints of done runs.")
@click.argument("targets", nargs=-1, metavar="[SWEEP|RUN]…")
@where_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@root_option
def gc(targets: tuple[str, ...], where: tuple[str, ...], root: Path, *, yes: bool) -> None:
    """Remove the checkpoints of runs that are done; metrics, evaluations, logs and everything else stay."""
    from qae.run_directory import RunStatus
    from sweeps.launching import tables
    from sweeps.run_store.locking import AlreadyRunningError, exclusive

    sizes = {
        run.directory: size
        for run in selected(root, targets, where)
        if run.state.status is RunStatus.DONE and (size := _size(run.directory.checkpoints))
    }
    if not sizes:
        click.echo("No done run has checkpoints.")
        return
    what = f"checkpoints of {tables.count(len(sizes), 'done run')}, {_bytes(sum(sizes.values()))}"
    if not yes and not click.confirm(f"Remove the {what}?"):
        click.echo("Nothing was removed.")
        raise SystemExit(1)
    removed = 0
    for directory, size in sizes.items():
        try:
            with exclusive(directory):
                if directory.read_state().status is RunStatus.DONE:
                    shutil.rmtree(directory.checkpoints)
                    removed += size
        except AlreadyRunningError:
            click.echo(f"{directory.run_id} is in use; left alone.", err=True)
        except OSError as error:
            raise MistakeError(f"checkpoints of {directory.run_id} cannot be removed: {error}") from error
    click.echo(f"Removed {_bytes(removed)}.")


def _newest_log(run: "StoredRun") -> Path | None:

    paths = [run.directory.log(attempt) for attempt in range(run.directory.read_state().attempt, 0, -1)]
    return next((path for path in paths if path.exists()), None)


def _following(run: "StoredRun") -> Iterator[str]:
    """What the run prints, from the beginning of its last attempt over the next ones to its end."""
    from qae.run_directory import RunStatus
    from sweeps.run_store.locking import is_locked, standing

    to_come = (RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.PLANNED)
    current: _Tail | None = None
    while True:
        # In this order: what is printed before the end is read after it.
        state = standing(run.directory, run.directory.read_state())
        over = state.status not in to_come and not is_locked(run.directory)
        newest = _newest_log(run)
        if current is not None:
            yield from current.read()
        if newest is not None and (current is None or current.path != newest):
            current = _Tail(newest)
            yield from current.read()
        if over:
            return
        time.sleep(_POLL_SECONDS)


class _Tail:
    """A file that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> Iterator[str]:
        """What has come since the last time."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            while content := file.read(_CHUNK_BYTES):
                self._position += len(content)
                yield self._decoder.decode(content)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
