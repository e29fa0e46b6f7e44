"""`qae dashboard`; registered as an entry point of the `qae` command."""

import os
import sqlite3
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.commands.arm_options import arm_options
from qae.console.command_line import MistakeError, root_option, say

if TYPE_CHECKING:
    from analysis.runs.identity import ArmRule

_name_option = click.option("--name", default="QAE", show_default=True, help="Of the workspace and the report.")


@click.group(short_help="Dashboards on W&B as code, or on this machine.")
def dashboard() -> None:
    """Dashboards of runs: on W&B as code, or local without an account."""


@dashboard.command()
@click.argument("project", metavar="ENTITY/PROJECT")
@_name_option
def push(project: str, name: str) -> None:
    """Save the dashboard on W&B, as a new workspace view and a new report."""
    entity, project_name = _split(project)
    from analysis.dashboard import wandb_views
    from analysis.sources.wandb.api import WandbError

    try:
        pushed = wandb_views.push(entity, project_name, name)
    except WandbError as error:
        raise MistakeError(str(error)) from error
    click.echo(f"workspace: {pushed.workspace}")
    click.echo(f"report: {pushed.report}")


@dashboard.command()
@click.argument("project", metavar="ENTITY/PROJECT", default="entity/project")
@_name_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="FILE.json (default: the terminal).")
def spec(project: str, name: str, out: Path | None) -> None:
    """Print the workspace's specification as JSON; needs no network and no account."""
    entity, project_name = _split(project)
    from analysis.dashboard import wandb_views
    from qae.run_directory import write_atomic

    text = wandb_views.specification(entity, project_name, name)
    if out is None:
        click.echo(text)
        return
    try:
        write_atomic(out, f"{text}\n".encode())
    except OSError as error:
        raise MistakeError(f"--out {out} cannot be written ({error.strerror})") from error
    say(out)


@dashboard.command()
@click.argument("source", required=False, metavar="[SWEEP|SOURCE]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on this machine (default: a free one from 7860 on).")
@click.option("--browser/--no-browser", default=True, help="Open it in the browser.")
@arm_options
@root_option
def local(source: str | None, port: int | None, root: Path, rule: "ArmRule", *, browser: bool) -> None:
    """Show SWEEP (default: the one launched last), or a SOURCE as for `qae export`, in Trackio until Ctrl-C."""
    if find_spec("trackio") is None:
        raise MistakeError("Trackio is not installed; `uv pip install trackio` (or `make setup`) brings it")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from analysis.commands import choice
    from analysis.dashboard import local as trackio_project

    chosen = choice.choose(source, root, rule)
    folder = root / "trackio"
    try:
        project = trackio_project.write(chosen.runs, chosen.name, folder)
    except (OSError, sqlite3.Error) as error:
        raise MistakeError(f"Trackio keeps its files in {folder}, which cannot be written ({error})") from error
    try:
        served, address = trackio_project.serve(project, folder, port=port, browser=browser)
    except OSError as error:
        raise MistakeError(f"no dashboard at port {port or '7860 and those after it'} ({error})") from error
    click.echo(f"{len(chosen.runs.records)} runs at {address} (Ctrl-C ends it)")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        served.close()


def _split(project: str) -> tuple[str, str]:
    from analysis.sources.wandb import names as wandb_names

    try:
        found = wandb_names.parse(project)
    except wandb_names.NotAProjectError as error:
        raise MistakeError(str(error)) from error
    if found.entity is None or found.filters:
        raise MistakeError(f"'{project}' is no W&B project: write entity/project")
    return found.entity, found.name
