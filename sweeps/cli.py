"""The `qae` command: what a run store holds. Commands of other packages come through entry points."""

import difflib
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import click

from qae.console import home, streams
from qae.console.text import brief
from sweeps.commands.runs import gc, logs
from sweeps.commands.summaries import summary
from sweeps.data.commands import data
from sweeps.doctor.command import doctor

_ENTRY_POINTS = "qae.commands"
_SUMMARY_LETTERS = 62  # what 80 columns leave beside the names


class _LazyGroup(click.Group):
    """Commands from entry points, loaded only when they are invoked or asked for help."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # click's signature
        home.settle()
        with streams.guarded():
            return super().main(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            raise click.UsageError(f"{name} stands before the command; write qae COMMAND {name} …", ctx) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known:
            near = difflib.get_close_matches(args[0], known, n=1)
            hint = f"did you mean qae {near[0]}?" if near else "`qae --help` lists them"
            ctx.fail(f"there is no command '{brief(args[0])}'; {hint}")
        return super().resolve_command(ctx, args)

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
        own = {name: command.get_short_help_str(_SUMMARY_LETTERS) for name, command in self.commands.items()}
        others = {point.name: summary(point, _SUMMARY_LETTERS) for point in _points()}
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
main.add_command(gc)
main.add_command(logs)


@main.command(
    "verl-command",
    short_help="Print a run as a command of verl's own trainer.",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--script", is_flag=True, help="As a shell script that takes more overrides.")
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def verl_command(overrides: tuple[str, ...], *, script: bool) -> None:
    """Print the `python -m verl.trainer.main_ppo …` of the run that OVERRIDES describe, as for sweep.py."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from qae.errors import ConfigError
    from sweeps.app import compose_run, explain
    from sweeps.verl import overrides as verl_overrides
    from sweeps.verl.trainer import check_command, named_by_run_id
    from sweeps.worker import run_checks

    try:
        config = compose_run(overrides)
        run_checks.check_method(config)
        check_command(config)
        config = named_by_run_id(config)
        text = verl_overrides.shell_script(config, overrides) if script else verl_overrides.shell_command(config)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise click.UsageError(explain(error)) from error
    click.echo(text, nl=False)


if __name__ == "__main__":
    main()
