"""`qae export`, `qae pull` and `qae sync`; registered as entry points of the `qae` command."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qae.console.command_line import MistakeError, root_option, say
from qae.console.text import encodable, one_line

if TYPE_CHECKING:
    import pandas as pd

    from analysis.runs.frames import Runs


@click.command(short_help="Metrics of runs as one tidy table.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.parquet or FILE.csv.")
@click.option("--filter", "condition", help="For W&B: a filter in its form, as JSON.")
@click.option(
    "--validation", type=click.Path(path_type=Path, exists=True, file_okay=False), help="For verl's logger: its dumps."
)
@root_option
def export(sources: tuple[str, ...], out: Path, condition: str | None, validation: Path | None, root: Path) -> None:
    """Write the metrics of SOURCEs as one tidy table: columns run, step, name, value.

    A SOURCE is a run store, a sweep's name, a .wandb file or a directory of them, a JSONL file of verl's logger, or a
    W&B project (entity/project).
    """
    from analysis.commands.choice import tell

    if out.suffix not in (".parquet", ".csv"):
        raise MistakeError(f"--out {out} cannot be written: end its name with .parquet or .csv")
    sources = tuple(dict.fromkeys(sources))
    loaded = [_load(source, root, condition, validation) for source in sources]
    frame = _table(loaded, sources)
    _write(frame, out)
    for runs in loaded:
        for note in runs.notes:
            say(one_line(note), err=True)
        tell(runs)
    count = sum(len(runs.records) for runs in loaded)
    say(f"{out}: {len(frame):,} rows of {count} {'run' if count == 1 else 'runs'}")


@click.command(short_help="Fetch the runs of a W&B project into the local cache.")
@click.argument("project", metavar="ENTITY/PROJECT")
@click.option("--filter", "condition", help="A filter in W&B's form, as JSON.")
def pull(project: str, condition: str | None) -> None:
    """Fetch the runs of a W&B project into the local cache; later only what is new is fetched."""
    from analysis.commands.choice import tell
    from analysis.sources import cache
    from analysis.sources.wandb import api as wandb_api

    runs = rows = 0

    def count(pulled: wandb_api.Pulled) -> None:
        nonlocal runs, rows
        runs += 1
        rows += pulled.rows

    try:
        loaded = wandb_api.load(project, _filters(condition), progress=count)
    except wandb_api.WandbError as error:
        raise MistakeError(str(error)) from error
    for note in loaded.notes:
        say(one_line(note), err=True)
    tell(loaded)
    say(
        f"{project}: {runs} {'run' if runs == 1 else 'runs'}, {rows:,} new rows, "
        f"{len(loaded.metrics):,} numbers in {cache.directory()}"
    )


@click.command(short_help="Bring runs to W&B, each step once.")
@click.argument("names", nargs=-1, metavar="[SWEEP|RUN]...")
@root_option
def sync(names: tuple[str, ...], root: Path) -> None:
    """Bring runs to W&B (default: all), each step once, whatever is there already.

    What a killed writer lost is taken from metrics.jsonl. The same command again sends what is missing, or nothing.
    """
    from analysis.sources.wandb.api import WandbError
    from analysis.sources.wandb.sync import Outcome
    from analysis.sources.wandb.sync import sync as bring

    run_ids = _run_ids(root, names)
    failed = False
    try:
        for run in bring(root, run_ids):
            if run.outcome is Outcome.FAILED:
                failed = True
                say(f"{run.run_id}: failed: {run.reason}", err=True)
            elif run.outcome is Outcome.SKIPPED:
                say(f"{run.run_id}: skipped: {run.reason}")
            elif run.outcome is Outcome.COMPLETE:
                say(f"{run.run_id}: all there already ({run.path})")
            else:
                late = f", {run.late} of them after later ones" if run.late else ""
                repaired = f", {run.repaired} from metrics.jsonl alone" if run.repaired else ""
                say(f"{run.run_id}: {run.sent} steps sent{late}{repaired} ({run.path})")
    except WandbError as error:
        raise MistakeError(str(error)) from error
    if failed:
        raise click.exceptions.Exit(1)


def _load(source: str, root: Path, condition: str | None, validation: Path | None) -> "Runs":
    from analysis import sources

    try:
        return sources.load(source, root=root, filters=_filters(condition), validation=validation)
    except sources.SourceError as error:
        raise MistakeError(str(error)) from error


def _filters(condition: str | None) -> dict[str, object] | None:
    if condition is None:
        return None
    try:
        filters = json.loads(condition)
    except json.JSONDecodeError as error:
        raise MistakeError(f'--filter {condition} is no JSON ({error}): write e.g. \'{{"group": "fig9"}}\'') from error
    if not isinstance(filters, dict):
        raise MistakeError(f'--filter {condition} is no JSON object: write e.g. \'{{"group": "fig9"}}\'')
    return filters


def _table(loaded: "list[Runs]", sources: tuple[str, ...]) -> "pd.DataFrame":
    """All sources' metrics; a run id that two sources have gets the source in front."""
    import pandas as pd

    from analysis.runs.frames import METRIC_COLUMNS

    ids = [record.id for runs in loaded for record in runs.records]
    parts = []
    for runs, source in zip(loaded, sources, strict=True):
        names = {
            record.id: record.id if ids.count(record.id) == 1 else f"{source}:{record.id}" for record in runs.records
        }
        parts.append(runs.metrics.assign(run=runs.metrics["run"].astype("str").map(names)))
    frame = pd.concat([part.astype({"name": "str"}) for part in parts], ignore_index=True)
    return frame[list(METRIC_COLUMNS)].astype({"run": "str", "name": "str", "step": "int64", "value": "float64"})


def _write(frame: "pd.DataFrame", out: Path) -> None:
    """Whole or not at all."""
    from qae.run_directory import write_atomic

    content = encodable(frame.to_csv(index=False)).encode() if out.suffix == ".csv" else frame.to_parquet(index=False)
    try:
        write_atomic(out, content)
    except OSError as error:
        raise MistakeError(f"--out {out} cannot be written ({error.strerror})") from error


def _run_ids(root: Path, names: tuple[str, ...]) -> list[str]:
    from analysis.sources import SourceError, manifests, run_store

    chosen: list[str] = []
    try:
        runs = run_store.ids(root)
        for name in names:
            if name in runs:
                chosen.append(name)
            elif manifests.has(root, name):
                chosen += [run_id for run_id in manifests.run_ids(root, name) if run_id in runs]
            else:
                raise MistakeError(f"there is no sweep and no run '{name}' in {root}; `qae status` lists them")
    except SourceError as error:
        raise MistakeError(str(error)) from error
    if not names and not runs:
        raise MistakeError(f"there is no run in {root}; `python sweep.py -m` makes some")
    return list(dict.fromkeys(chosen)) if names else runs
