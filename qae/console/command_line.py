"""What the `qae` commands of every package share: how a mistake ends one, and the option that names the run store."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qae.console.text import paragraph

Command = TypeVar("Command", bound=Callable[..., Any])


class MistakeError(click.ClickException):
    """A sentence for something that the user can put right; exit code 2."""

    exit_code = 2

    def format_message(self) -> str:
        """The sentence, with nothing hidden in the words that it repeats."""
        return paragraph(self.message)


def say(text: object, *, err: bool = False) -> None:
    """Print text that may hold foreign words, with nothing hidden in it."""
    click.echo(paragraph(text), err=err)


def root_option(function: Command) -> Command:
    """``--root``: the run store."""
    return click.option(
        "--root",
        type=click.Path(path_type=Path),
        default=lambda: Path(os.environ.get("QAE_RUNS", "runs")),
        help="Run store (default: $QAE_RUNS or runs).",
    )(function)
