"""`qae data`: the data sets that verl's models train and are evaluated on."""

import os
from pathlib import Path

import click

from sweeps.data import files as data_files
from sweeps.data.sets import HUB_SETS, DataError

_HUB_NAMES = tuple(one.name for one in HUB_SETS)


class _RefusedError(click.ClickException):
    exit_code = 2


@click.group()
def data() -> None:
    """Data sets for verl's models."""


@data.command()
@click.argument("names", nargs=-1, type=click.Choice([*_HUB_NAMES, data_files.ARITHMETIC]))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Path(os.environ.get("QAE_DATA", "data")),
    help="Folder to write to (default: $QAE_DATA or data).",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with files downloaded elsewhere, for machines without internet.",
)
@click.option("--offline", is_flag=True, help="Use only what the hub's cache on this machine has.")
@click.option("--train-problems", type=click.IntRange(min=1), help="Keep so many training problems (default: all).")
@click.option("--force", is_flag=True, help="Write files again that are there and intact.")
def prepare(
    names: tuple[str, ...],
    out: Path,
    source: Path | None,
    train_problems: int | None,
    *,
    offline: bool,
    force: bool,
) -> None:
    """Write NAMES (default: all of the paper's) as parquet files for verl.

    aime24, aime25, amc23 and dapo-math-17k come from the Hugging Face hub, each problem once, in DAPO's prompt.
    Training problems that an evaluation set asks are left out, so dapo-math-17k brings the evaluation sets along.
    arithmetic is generated and needs no network.
    """
    request = data_files.Request(out, source, offline, train_problems, force)
    try:
        for sentence in data_files.prepare(names or _HUB_NAMES, request):
            click.echo(sentence)
    except DataError as error:
        raise _RefusedError(str(error)) from error
    except OSError as error:
        raise _RefusedError(f"{error.strerror}: {error.filename}" if error.filename else str(error)) from error
