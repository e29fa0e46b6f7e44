"""`qae guard replay`: the guard's rules on recorded runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.commands.arm_options import arm_options
from qae.console import terminal
from qae.console.command_line import MistakeError, root_option, say
from qae.console.text import markdown_table
from qae.metrics import EXPLODED

if TYPE_CHECKING:
    from analysis.runs.identity import ArmRule
    from qae.guard.settings import Watch

# The thresholds of `guard=entropy`: a file of the sweep's configuration, read as one.
ENTROPY = Path(__file__).parents[2] / "sweeps" / "conf" / "guard" / "entropy.yaml"


@click.group(short_help="What a guard would have done in finished runs.")
def guard() -> None:
    """The entropy guard."""


@guard.command()
@click.argument("sources", nargs=-1, metavar="[SWEEP|SOURCE]…")
@click.option(
    "--settings",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=ENTROPY,
    help="A YAML file with a guard section (default: that of guard=entropy).",
)
@click.option("--set", "changes", multiple=True, metavar="RULE.KEY=VALUE", help="Change a threshold; several times.")
@click.option(
    "--good-gain",
    type=click.FloatRange(-1, 1),
    default=0.1,
    show_default=True,
    help="A good run ends with pass@1 at least so much above its first evaluation.",
)
@click.option(
    "--bad-entropy",
    type=click.FloatRange(min=0, min_open=True),
    default=EXPLODED,
    show_default=True,
    help="A bad run ends with entropy above so many times its start.",
)
@click.option("--markdown", is_flag=True, help="For a document.")
@arm_options
@root_option
def replay(
    sources: tuple[str, ...],
    settings: Path,
    changes: tuple[str, ...],
    good_gain: float,
    bad_entropy: float,
    root: Path,
    rule: "ArmRule",
    *,
    markdown: bool,
) -> None:
    """What the guard would have stopped in SWEEP (default: the one launched last) or any SOURCE as in `qae export`.

    Every rule counts as a rule that stops. The stop of a run is true where the run ended badly: with exploded entropy,
    or without a gain in pass@1. Else the stop is false.
    """
    from analysis.commands import choice
    from analysis.guard import replay as replays
    from analysis.guard import tables

    watching = watches_of(settings, changes)
    line = replays.Line(good_gain, bad_entropy)
    items = list(replays.replay(choice.choose_all(sources, root, rule).runs, watching, line))
    rows = [tables.row(item) for item in items]
    if markdown:
        say(markdown_table(tables.HEADER, rows))
    else:
        lines, missing = terminal.aligned_within(
            [tables.HEADER, *rows], terminal.width(), tables.LEAST, "--markdown has them"
        )
        say("\n".join([*lines, *([missing] if missing else [])]))
    say(f"\n{tables.sums(items)}")


def _guard_of(content: object) -> object:
    """The guard section of a configuration; a file of the group `guard` is nothing else."""
    from qae.guard.rules import RULES

    if not isinstance(content, Mapping):
        return None
    return content if content and content.keys() <= {rule.name for rule in RULES} else content.get("guard")


def watches_of(settings: Path = ENTROPY, changes: tuple[str, ...] = ()) -> "tuple[Watch, ...]":
    """The rules of a YAML file that has a `guard` section or is one, by default those of `guard=entropy`.

    Args:
        settings: the file.
        changes: ``RULE.KEY=VALUE``.

    Raises:
        MistakeError: the file has no such section, or a rule, key or value is wrong.
    """
    import yaml

    from qae.errors import ConfigError
    from qae.guard.settings import watches

    try:
        content = yaml.safe_load(settings.read_text())
    except yaml.YAMLError as error:
        raise MistakeError(f"--settings {settings} is not YAML ({str(error).splitlines()[0]})") from error
    section = _guard_of(content)
    if not isinstance(section, Mapping):
        raise MistakeError(f"--settings {settings} has no guard section")
    rules = {name: dict(values) if isinstance(values, Mapping) else values for name, values in section.items()}
    for change in changes:
        key, sign, text = change.partition("=")
        rule, dot, name = key.partition(".")
        if not sign or (dot and not isinstance(rules.get(rule), dict)):
            raise MistakeError(f"--set {change} cannot be used: write RULE.KEY=VALUE, with one of {', '.join(rules)}")
        if dot:
            rules[rule][name] = yaml.safe_load(text)
        else:
            rules[rule] = yaml.safe_load(text)
    try:
        found = watches(rules)
    except ConfigError as error:
        raise MistakeError(str(error)) from error
    if not found:
        raise MistakeError("no rule is on; give --settings a file with some")
    return found
