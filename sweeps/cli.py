"""The `qae` command: what a run store holds. Commands of other packages come through entry points."""

import json
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.data_commands import data
from sweeps.doctor_command import doctor

if TYPE_CHECKING:
    from sweeps.store import RunStore

_ENTRY_POINTS = "qae.commands"


class _LazyGroup(click.Group):
    """Commands from entry points, loaded only when they are invoked or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(point.name for point in _points())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for point in _points():
            if point.name == cmd_name:
                loaded = point.load()
                assert isinstance(loaded, click.Command)  # noqa: S101  # our own packages register them
                return loaded
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        own = {name: command.get_short_help_str() for name, command in self.commands.items()}
        others = {point.name: f"see `qae {point.name} --help`" for point in _points()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**own, **others}.items()))


def _points() -> Sequence[metadata.EntryPoint]:
    return tuple(metadata.entry_points(group=_ENTRY_POINTS))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qae-toolkit")
def main() -> None:
    """Look at Quantile Advantage Estimation runs: where they stand, what came out, figures."""


main.add_command(data)
main.add_command(doctor)


@main.command()
@click.argument("sweep", required=False)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get("QAE_RUNS", "runs")),
    help="Run store (default: $QAE_RUNS or runs).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run, for scripts.")
def status(sweep: str | None, root: Path, *, as_json: bool) -> None:
    """Where the runs of SWEEP stand, or those of the whole store."""
    from sweeps.store import RunStore

    store = RunStore(root)
    rows = _rows(store, sweep)
    if as_json:
        for directory, label, state in rows:
            click.echo(json.dumps(_as_json(directory, label, state)))
        return
    from sweeps import tables

    header = ("run id", "axes", "status", "step", "entropy", "pass@1", "zero adv.", "attempts", "reason")
    lines = [
        (
            directory.run_id,
            label,
            tables.status_text(state),
            f"{state.step}/{state.total_steps}",
            *tables.latest_cells(state),
            str(state.attempt),
            state.reason or "",
        )
        for directory, label, state in rows
    ]
    for line in tables.aligned([header, *lines]):
        click.echo(line)


@main.command("verl-command", context_settings={"ignore_unknown_options": True})
@click.option("--script", is_flag=True, help="As a shell script that takes more overrides.")
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def verl_command(overrides: tuple[str, ...], *, script: bool) -> None:
    """Print the `python -m verl.trainer.main_ppo …` of the run that OVERRIDES describe, as for sweep.py."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from qae.errors import ConfigError
    from sweeps import backends, verl_overrides
    from sweeps.app import compose_run, explain

    try:
        config = compose_run(overrides)
        if not backends.is_verl(config):
            raise click.UsageError("the embedded trainer trains this run; choose one of verl's models with model=")
        backends.check({**config, "sweep": {"dry_run": True}})
        text = verl_overrides.shell_script(config, overrides) if script else verl_overrides.shell_command(config)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise click.UsageError(explain(error)) from error
    click.echo(text, nl=False)


Row = tuple[RunDirectory, str, RunState]


def _rows(store: "RunStore", sweep: str | None) -> list[Row]:
    from sweeps.store import StoreError

    labels: dict[str, str] = {}
    names = store.sweeps()
    if sweep is not None and sweep not in names:
        import difflib

        close = difflib.get_close_matches(sweep, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names) or 'none'}"
        raise click.UsageError(f"no sweep '{sweep}' in {store.root}; {hint}")
    for name in [sweep] if sweep is not None else reversed(names):
        try:
            manifest = store.manifest(name)
        except StoreError as error:
            if sweep is None:
                continue  # its runs are listed all the same, without their labels
            raise click.ClickException(str(error)) from error
        labels |= {run.id: manifest.label(run) for run in manifest.runs}
    if sweep is None:
        directories = store.runs()
        if not directories:
            raise click.UsageError(f"no runs in {store.root}; `python sweep.py -m` makes some")
    else:
        directories = [store.directory(run_id) for run_id in labels]
    return [(directory, labels.get(directory.run_id, ""), _state(store, directory)) for directory in directories]


def _state(store: "RunStore", directory: RunDirectory) -> RunState:
    from sweeps.store import StoreError

    try:
        return store.state(directory)
    except StoreError as error:
        return RunState(RunStatus.FAILED, reason=str(error))


def _as_json(directory: RunDirectory, label: str, state: RunState) -> dict[str, object]:
    from sweeps import tables

    return {
        "id": directory.run_id,
        "label": label,
        "status": tables.status_text(state),
        "step": state.step,
        "total_steps": state.total_steps,
        "attempt": state.attempt,
        "reason": state.reason,
        **state.latest,
    }


if __name__ == "__main__":
    main()
