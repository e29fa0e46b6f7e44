"""The options by which a user changes the rule of arms, the same on every command that makes arms of a source."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from analysis.runs.identity import ArmRule


def arm_options(function: Callable[..., object]) -> Callable[..., object]:
    """``--seed-key``, ``--ignore`` and ``--split``; the command gets them as one `rule`."""

    @wraps(function)
    def with_rule(
        *arguments: Any,  # noqa: ANN401  # the command's own
        seed_key: tuple[str, ...],
        ignore: tuple[str, ...],
        split: tuple[str, ...],
        **options: Any,  # noqa: ANN401
    ) -> object:
        return function(*arguments, rule=ArmRule(seed_key, ignore, split), **options)

    command: Callable[..., object] = with_rule
    for name, metavar, help_text in (
        ("split", "KEY", "Make arms of a key that the rule leaves out; several times."),
        ("ignore", "KEY", "Make no arms of a key, a section or a pattern such as 'trainer.*'; several times."),
        ("seed-key", "KEY", "The key of the training seed (default: docs/sources.md has the rule); several times."),
    ):
        command = click.option(f"--{name}", multiple=True, metavar=metavar, help=help_text)(command)
    return command
