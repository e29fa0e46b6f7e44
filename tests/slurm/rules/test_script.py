"""The script of an array: options that sbatch reads back as they were meant, nothing for a shell to run."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.errors import ConfigError
from slurm.request import Container, Request, Runtime
from slurm.script import Array, sbatch_quoted

HOSTILE = 'a b\'; touch pwned "$(touch pwned)" `touch pwned` #x \\ %j &|<>*?[]{}~!'
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)


def array(root: Path, request: Request | None = None, size: int = 3) -> Array:
    batch = root / "sweeps" / "batches" / "b1.json"
    return Array("qae-b1", size, batch, root / "code", request or Request(()))


def as_sbatch_reads(line: str) -> str:
    """The first word of an option line, by sbatch's rules as far as they were seen to hold."""
    word, escaped, quoted = "", False, False
    for character in line:
        if escaped:
            word, escaped = word + character, False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif not quoted and (character.isspace() or character in "#'"):
            break
        else:
            word += character
    return word


@given(PRINTABLE)
def test_a_value_on_an_option_line_is_read_back_whole(value: str) -> None:
    assert as_sbatch_reads(sbatch_quoted(f"--comment={value}")) == f"--comment={value}"


def test_the_body_takes_the_place_of_the_shell_after_the_setup(tmp_path: Path) -> None:
    request = Request((("partition", "gpu"), ("exclusive", None)), setup=("module load cuda",), throttle=2)
    lines = array(tmp_path, request).script().splitlines()
    assert lines[0] == "#!/bin/bash"
    assert {"#SBATCH --array=0-2%2", "#SBATCH --partition=gpu", "#SBATCH --exclusive", "#SBATCH --requeue"} <= set(
        lines
    )
    assert lines.index("module load cuda") < len(lines) - 1
    body = [sys.executable, "-m", "slurm.job", f"{tmp_path}/sweeps/batches/b1.json"]
    assert lines[-1] == f"exec {shlex.join(body)}"


def test_a_hostile_folder_is_data_for_the_shell(tmp_path: Path) -> None:
    """The script runs for real, with an interpreter that says what it was given."""
    root = tmp_path / HOSTILE.replace("\\", "")
    (root / "code" / "slurm").mkdir(parents=True)
    (root / "code" / "slurm" / "__init__.py").touch()
    (root / "code" / "slurm" / "job.py").write_text(
        "import os, sys; print(os.getcwd(), sys.argv[1:], os.environ['PYTHONPATH'])"
    )
    ended = subprocess.run(
        ["bash"],
        input=array(root).script(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "/before"},
        check=True,
    )
    batch = str(root / "sweeps" / "batches" / "b1.json")
    assert ended.stdout == f"{root / 'code'} {[batch]} {root / 'code'}:/before\n"
    assert [path for path in tmp_path.rglob("*") if path.name == "pwned"] == []


def test_slurm_sees_no_pattern_in_the_path_of_the_output(tmp_path: Path) -> None:
    options = dict(array(tmp_path / "100%j").options)
    assert options["output"] == f"{tmp_path}/100%%j/sweeps/batches/b1-%a.out"
    with pytest.raises(ConfigError, match=r"sweep\.root"):
        array(tmp_path / "a\\b").script()


@pytest.mark.parametrize("runtime", list(Runtime))
def test_a_container_sees_the_store_the_code_and_what_is_mounted(runtime: Runtime, tmp_path: Path) -> None:
    container = Container(runtime, "image", ("/data:/data",), "python3")
    command = shlex.split(array(tmp_path, Request((), container=container)).script().splitlines()[-1])
    assert command[:2] == ["exec", {Runtime.PYXIS: "srun", Runtime.APPTAINER: "apptainer"}[runtime]]
    assert command[-4:] == ["python3", "-m", "slurm.job", f"{tmp_path}/sweeps/batches/b1.json"]
    mounts = (f"{tmp_path}:{tmp_path}", f"{tmp_path}/code:{tmp_path}/code", "/data:/data")
    assert all(
        any(mount in word.split(",") or mount in word.partition("=")[2].split(",") for word in command)
        for mount in mounts
    )
