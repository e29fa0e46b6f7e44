"""`qae figures` and `qae table`; registered as entry points of the `qae` command."""

import difflib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from analysis.runs import Runs

_F = TypeVar("_F", bound=Callable[..., Any])


def _root_option(function: _F) -> _F:
    return click.option(
        "--root",
        type=click.Path(path_type=Path),
        default=lambda: Path(os.environ.get("QAE_RUNS", "runs")),
        help="Run store (default: $QAE_RUNS or runs).",
    )(function)


@click.command()
@click.argument("sweep", required=False)
@click.option("--format", "form", type=click.Choice(["text", "markdown", "csv", "json"]), default="text")
@_root_option
def table(sweep: str | None, form: str, root: Path) -> None:
    """The result table of SWEEP (default: the one launched last)."""
    from rich.console import Console

    from analysis import table as tables

    name = _sweep(root, sweep)
    results = tables.summarise(_load(root, name))
    if not results:
        raise click.UsageError(f"no run of sweep '{name}' has finished a step yet")
    match form:
        case "text":
            Console().print(tables.rich_table(results))
        case "markdown":
            click.echo(tables.markdown(results))
        case "csv":
            click.echo(tables.frame(results).to_csv(index=False), nl=False)
        case _:
            click.echo(tables.frame(results).to_json(orient="records", indent=2))


@click.command()
@click.argument("sweep", required=False)
@click.argument("names", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="Folder (default: ROOT/figures/SWEEP).")
@click.option("--format", "formats", type=click.Choice(["png", "svg", "pdf"]), multiple=True, default=("png",))
@_root_option
def figures(sweep: str | None, names: tuple[str, ...], out: Path | None, formats: tuple[str, ...], root: Path) -> None:
    """Draw NAMES (default: all figures) of SWEEP (default: the one launched last)."""
    from analysis.closing import write_figures
    from analysis.figures import available

    known = list(available())
    for name in names:
        if name not in known:
            raise click.UsageError(f"no figure '{name}'; {_hint(name, known)}")
    found = _sweep(root, sweep)
    paths = write_figures(_load(root, found), names or known, out or root / "figures" / found, formats, source=found)
    if not paths:
        raise click.UsageError(f"no run of sweep '{found}' has finished a step yet")
    for path in paths:
        click.echo(str(path))


def _sweep(root: Path, name: str | None) -> str:
    manifests = sorted((root / "sweeps").glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.stem for path in manifests]
    if not names:
        raise click.UsageError(f"no sweep in {root}; `python sweep.py -m` makes one")
    if name is None:
        return names[0]
    if name not in names:
        raise click.UsageError(f"no sweep '{name}' in {root}; {_hint(name, names)}")
    return name


def _load(root: Path, sweep: str) -> "Runs":
    from analysis.runs import load

    manifest = json.loads((root / "sweeps" / f"{sweep}.json").read_text())
    return load(root, [run["id"] for run in manifest["runs"]])


def _hint(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
