"""Experiments name the model that they are about, and what a user types goes first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from qae.nested import value_of
from sweeps.composition.compose import compose_jobs
from sweeps.composition.parts import checked_parts, expand
from tests.analysis import experiments
from tests.support.configs import TREE

pytestmark = [pytest.mark.slow, pytest.mark.long]

OF_THE_TABULAR_WORLD = {
    "adaptive",
    "early_signs",
    "explosion",
    "sensitivity",
}  # their axes are properties of that world


@pytest.mark.parametrize("model", ["tabular", "tiny", "qwen3-8b-base"])
def test_the_typed_model_is_that_of_every_run(model: str) -> None:
    """`python sweep.py -m +experiment=… model=…`; what experiments run without it, their ids tell."""
    parser = OverridesParser.create()
    with initialize_config_dir(str(TREE), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], RunMode.MULTIRUN)
        for name in set(experiments.names()) - (set() if model == "tabular" else OF_THE_TABULAR_WORLD):
            typed = [f"+experiment={name}", f"model={model}"]
            parts = checked_parts(OmegaConf.to_container(loader.load_sweep_config(master, typed).sweep.parts))
            jobs = expand(parser.parse_overrides(typed), parts, name, parser).jobs
            models = [[word for word in job if word.startswith("model=")] for job in jobs]
            assert models == [[f"model={model}"]] * len(jobs), name
            (config,) = compose_jobs(loader, master, jobs[:1])
            assert value_of(config, "labels.experiment") == name
            assert value_of(config, "labels.model") == model
            assert config["backend"] == ("verl" if model.startswith("qwen") else model)


@pytest.mark.parametrize("name", sorted(OF_THE_TABULAR_WORLD))
def test_a_model_without_the_world_that_an_experiment_varies_is_refused(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "sweep.py", "-m", f"+experiment={name}", "model=tiny", "sweep.dry_run=true"]
    environment = {**os.environ, "QAE_RUNS": str(tmp_path / "runs")}
    done = subprocess.run(command, cwd=TREE.parents[1], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.match(r"error: tabular\.\w+ is not a key", done.stderr)
    assert list(tmp_path.iterdir()) == []
