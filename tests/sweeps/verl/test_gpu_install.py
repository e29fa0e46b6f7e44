"""The environment for GPUs: its lock, what the index resolves, and attention without the package flash-attn."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from transformers import Qwen3Config, Qwen3ForCausalLM

from qae.errors import ConfigError
from sweeps.verl.rules import checking as verl_rules
from sweeps.worker import run_checks
from tests import ROOT
from tests.support.configs import verl_mapping

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "gpu_install.md").read_text()
ATTENTION = "actor_rollout_ref.model.override_config.attn_implementation"
ROWS = re.findall(r"^\| `([\w,]+)` \| (resolves|does not resolve) \|", PAGE, flags=re.MULTILINE)


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements-gpu.lock").read_text().splitlines()
    return dict(line.split()[0].split("==") for line in lines if re.match(r"[A-Za-z0-9].*==", line))


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [
        *project["dependencies"],
        *project["optional-dependencies"]["vllm"],
        *project["optional-dependencies"]["dev"],
    ]
    versions = {canonicalize_name(name): version for name, version in locked().items()}
    for requirement in map(Requirement, asked):
        if requirement.name != "qae-toolkit":
            found = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(found), f"{requirement}: {found} is locked; run `make lock`"
    assert "vllm" in versions


@pytest.mark.parametrize(("extra", "outcome"), ROWS)
def test_the_index_resolves_what_the_page_says(extra: str, outcome: str, tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    wanted = tmp_path / "wanted.in"
    wanted.write_text(f"verl[{extra}]=={locked()['verl']}\n")
    platform = ["--python-version=3.12", "--python-platform=x86_64-manylinux_2_34"]
    done = subprocess.run(
        [uv, "pip", "compile", "--quiet", *platform, "--output-file", os.devnull, str(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (outcome == "resolves"), done.stderr
    if done.returncode:
        assert "No solution found" in done.stderr


def test_the_page_speaks_of_every_engine() -> None:
    assert {extra for extra, _ in ROWS} == {"vllm", "vllm,fsdp", "sglang", "vllm,megatron"}


def test_packed_responses_do_not_see_each_other_without_flash_attention() -> None:
    """What verl gives a model where padding is removed: one row, no mask, positions that begin again."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
    )
    model = Qwen3ForCausalLM._from_config(config, attn_implementation="sdpa").eval()
    responses = [torch.randint(0, 97, (1, length)) for length in (5, 9, 3)]
    positions = torch.cat([torch.arange(response.shape[1]) for response in responses])[None]
    with torch.no_grad():
        row = torch.cat(responses, dim=1)
        packed = model(input_ids=row, attention_mask=None, position_ids=positions, use_cache=False).logits
        alone = torch.cat([model(input_ids=response, use_cache=False).logits for response in responses], dim=1)
        mixed = model(input_ids=row, use_cache=False).logits
    torch.testing.assert_close(packed, alone)
    assert not torch.allclose(mixed, alone, atol=1e-2)


def test_attention_that_cannot_spread_a_sequence_is_refused_where_one_is_spread() -> None:
    with pytest.raises(ConfigError, match="ulysses_sequence_parallel_size=4") as refused:
        verl_rules.check(verl_mapping(f"++{ATTENTION}=sdpa"), exists=None)
    assert refused.value.key == ATTENTION
    assert "attention=sdpa" in str(refused.value)
    for typed in (["attention=sdpa"], [f"++{ATTENTION}=flash_attention_3"], []):
        verl_rules.check(verl_mapping(*typed), exists=None)


def test_a_launch_from_an_environment_that_lacks_a_package_of_the_run_is_refused() -> None:
    run_checks.check_installed(verl_mapping("model=qwen3-random-tiny"))
    with pytest.raises(ConfigError, match="vllm is not installed in this environment: `make setup-gpu`"):
        run_checks.check_installed(verl_mapping())
    with pytest.raises(ConfigError, match=r"sglang is not installed .* verl's image"):
        run_checks.check_installed(verl_mapping("actor_rollout_ref.rollout.name=sglang"))


def test_make_refuses_a_python_that_the_lock_has_no_wheels_for(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-gpu.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(
        "#!/usr/bin/env python3\n"
        "import platform, sys\n"
        "sys.version_info, sys.version = (3, 14, 0), '3.14.0 (main)'\n"
        "platform.python_version = lambda: '3.14.0'\n"
        "exec(sys.argv[2])\n"
    )
    python.chmod(0o755)
    for target in ("setup", "setup-gpu"):
        done = subprocess.run(
            ["make", target, f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "3.14.0" in done.stdout + done.stderr
        assert "PYTHON=/path/to/python3.12" in done.stdout + done.stderr
    assert not (tmp_path / ".venv").exists()


def first_run_commands() -> list[str]:
    page = (ROOT / "docs" / "gpu_first_run.md").read_text()
    return re.findall(r"^    python (sweep\.py .*model=qwen3-8b-base .*)$", page, flags=re.MULTILINE)


@pytest.mark.parametrize("typed", first_run_commands(), ids=lambda typed: str(len(typed)))
def test_the_commands_of_the_first_run_plan_and_their_script_is_one_for_sbatch(typed: str, tmp_path: Path) -> None:
    command, _, cut = typed.partition(" | ")
    if "sweep.dry_run=true" not in command:
        command += " sweep.dry_run=true"
    variables = {**os.environ, "QAE_RUNS": str(tmp_path / "runs"), "WANDB_MODE": "offline"}
    planned = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr
    assert "nothing was started" in planned.stdout
    if cut:
        script = tmp_path / "job.sh"
        script.write_text(
            subprocess.run(
                ["sh", "-c", cut.partition(" > ")[0]], input=planned.stdout, capture_output=True, text=True, check=True
            ).stdout
        )
        assert script.read_text().startswith("#!/bin/bash\n#SBATCH ")
        assert script.read_text().splitlines()[-1].startswith("exec ")
        subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_first_run_page_has_its_commands() -> None:
    assert len(first_run_commands()) == 3
    assert sum("sbatch" in line for line in (ROOT / "docs" / "gpu_first_run.md").read_text().splitlines()) >= 2
