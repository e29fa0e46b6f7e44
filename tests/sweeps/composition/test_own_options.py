"""A folder of options of the user's: docs/options.md, file by file and command by command."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.slow

SECTION = (ROOT / "docs" / "options.md").read_text().partition("## Options of your own")[2]
COMMANDS = re.findall(r"^    ((?:python sweep\.py|qae) .*)$", SECTION, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the page's files."""
    here = tmp_path_factory.mktemp("options")
    names = re.findall(r"\bmine/\w+/\w+\.yaml", SECTION)
    contents = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    for name, content in zip(names, contents, strict=True):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(content)
    return here


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in the user's folder, planned only."""
    program, *words = shlex.split(command)
    planned = [str(ROOT / words[0]), *words[1:], "sweep.dry_run=true"]
    of_python = planned if program == "python" else ["-m", "sweeps.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "QAE_RUNS": "runs"}
    return subprocess.run(
        [sys.executable, *of_python],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_page_shows_each_kind_of_command() -> None:
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_takes_the_folder(command: str, folder: Path) -> None:
    result = run(command, folder)
    assert result.returncode == 0, result.stderr
    if "+experiment=first" in command:
        assert "Plan of sweep 'first': 8 runs" in result.stdout
    if "verl-command" in command:
        assert "clip_ratio_high=0.4" in result.stdout
    assert not (folder / "runs").exists()


def test_a_name_of_the_folders_is_the_same_run_as_its_values(folder: Path) -> None:
    by_name = run("python sweep.py --config-dir mine model=small regularizer=clip_wide", folder)
    values = "tabular.facts=500 actor_rollout_ref.actor.clip_ratio_low=.2 actor_rollout_ref.actor.clip_ratio_high=.4"
    by_value = run(f"python sweep.py {values}", folder)
    ids = [re.findall(r"\b[0-9a-f]{12}\b", result.stdout) for result in (by_name, by_value)]
    assert ids[0] == ids[1] != []


def test_without_the_folder_its_options_are_not_there(folder: Path) -> None:
    result = run("python sweep.py model=small", folder)
    assert result.returncode == 2
    assert "model=small does not exist" in result.stderr
    assert "--config-dir" in result.stderr
