"""Commands in README and on the pages are planned or parsed, as they are written there."""

import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

import click
import pytest

from sweeps.cli import main
from tests import ROOT
from tests.support import forks

pytestmark = [pytest.mark.slow, pytest.mark.long]

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
# Commands that want files which the page shows; test_own_options.py, test_trainers.py and test_gpu_install.py run them.
WITH_FILES = ("options.md", "trainers.md", "gpu_first_run.md")
_LINE = re.compile(r"^(?: {4}\$? ?|\$ )((?:uv run )?(?:python sweep\.py|qae) .*)$", flags=re.MULTILINE)
_INLINE = re.compile(r"`((?:uv run )?(?:python sweep\.py|qae) [^`\n]*)`")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each whole command of a page: no placeholders, no pipes, no remarks beside it."""
    text = re.sub(r" *\\\n *", " ", page.read_text())
    for line in dict.fromkeys([*_LINE.findall(text), *_INLINE.findall(text)]):
        command = re.split(r" {3,}| && | \| ", line)[0]
        if re.search(r"…|<|\w, \w", line):
            continue
        words = shlex.split(command, comments=True)
        if not any(word.isalpha() and word.isupper() for word in words):  # such as SOURCE
            yield words[2:] if words[:2] == ["uv", "run"] else words


def of_program(program: str, *, without: Collection[str] = ()) -> dict[tuple[str, ...], str]:
    """The page of each command that starts with a program, by its words."""
    return {
        tuple(words): page.name
        for page in PAGES
        if page.name not in without
        for words in commands(page)
        if words[0] == program
    }


def test_every_sweep_of_a_page_is_planned(tmp_path: Path) -> None:
    sweeps = of_program("python", without=WITH_FILES)
    for whole in [words for words in sweeps if any(word.startswith("+experiment=") for word in words)]:
        del sweeps[whole]  # hundreds of runs; test_golden_ids.py composes every experiment
    assert len(sweeps) > 15
    environment = {"QAE_RUNS": str(tmp_path / "runs"), "WANDB_MODE": "offline"}
    with forks.forks_of(forks.SWEEP) as planner:
        answers = [planner.run(*words[2:], "sweep.dry_run=true", environment=environment) for words in sweeps]
    wrong = [
        f"{page}: {shlex.join(words)}: {said.stdout}{said.stderr}"
        for (words, page), said in zip(sweeps.items(), answers, strict=True)
        if said.returncode or not ("nothing was started" in said.stdout or "--help" in words)
    ]
    assert wrong == []


def test_every_command_of_a_page_has_its_options() -> None:
    found = of_program("qae")
    assert len(found) > 40
    wrong = []
    for words, page in found.items():
        try:
            command: click.Command = main
            arguments, context = list(words[1:]), None
            while isinstance(command, click.Group) and arguments:
                context = click.Context(command, parent=context, info_name=words[0])
                _, below, arguments = command.resolve_command(context, arguments)
                assert below is not None
                command = below
            if not isinstance(command, click.Group):
                command.make_context(words[1], arguments, parent=context)
        except click.UsageError as error:
            if isinstance(error, click.MissingParameter) and not arguments:
                continue  # the name of a command, in a sentence
            wrong.append(f"{page}: {shlex.join(words)}: {error.format_message()}")
    assert wrong == []
