"""Experiments name the model that they are about, and what a user types goes first."""

from collections.abc import Mapping, Sequence

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from qae.checks import value_of
from sweeps.compose import compose_jobs
from sweeps.parts import checked_parts, expand
from tests.configs import TREE

EXPERIMENTS = sorted(path.stem for path in (TREE / "experiment").glob("*.yaml"))


def composed(typed: Sequence[str], name: str) -> list[Mapping[str, object]]:
    """The runs of `python sweep.py -m +experiment=NAME` with more words."""
    words = [f"+experiment={name}", *typed]
    parser = OverridesParser.create()
    with initialize_config_dir(str(TREE), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], RunMode.MULTIRUN)
        parts = checked_parts(OmegaConf.to_container(loader.load_sweep_config(master, words).sweep.parts))
        return compose_jobs(loader, master, expand(parser.parse_overrides(words), parts, name, parser).jobs)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_typed_model_is_that_of_every_run(name: str) -> None:
    for model in ("tabular", "tiny", "qwen3-8b-base"):
        runs = composed([f"model={model}"], name)
        assert runs
        assert {value_of(run, "labels.model") for run in runs} == {model}
        assert {run["backend"] for run in runs} == {"verl" if model.startswith("qwen") else model}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_without_one_runs_are_of_the_embedded_transformer(name: str) -> None:
    assert {run["backend"] for run in composed([], name)} == {"tiny"}
