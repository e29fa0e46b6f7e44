"""`qae study`; registered as an entry point of the `qae` command."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from analysis.wording import hint
from qae.console.command_line import MistakeError, root_option


@click.command(short_help="The best settings of a search, with intervals.")
@click.argument("name", required=False)
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Settings to show.")
@click.option("--json", "as_json", is_flag=True, help="The whole study as one object.")
@root_option
def study(name: str | None, top: int, root: Path, *, as_json: bool) -> None:
    """The search NAME: its best settings with intervals, importances, the Pareto front of several objectives.

    Without NAME: the only search of the run store.
    """
    from analysis import study as studies
    from qae.console import terminal

    known = studies.names(root)
    if not known:
        raise MistakeError(f"there is no search in {root}; `python sweep.py -m hydra/sweeper=optuna …` makes one")
    if name is None and len(known) > 1:
        raise MistakeError(f"there are several searches in {root}, name one: {', '.join(known)}")
    name = name or known[0]
    if name not in known:
        raise MistakeError(f"there is no search '{name}' in {root}; {hint(name, known)}")
    try:
        if as_json:
            click.echo(json.dumps(asdict(studies.read(root, name)), indent=2))
        else:
            studies.show(root, name, terminal.console(), top)
    except (KeyError, ValueError) as error:
        raise MistakeError(f"the study of '{name}' cannot be read ({error})") from error
