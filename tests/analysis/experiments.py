"""The named experiments as a sweep composes them, without launching anything."""

from functools import cache
from typing import cast

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sweeps.parts import checked_parts, expand
from tests.configs import TREE

Config = dict[str, object]

_DEFAULTS = {"regularizer": "clip_higher", "model": "tabular"}


@cache
def runs_of(experiment: str) -> tuple[Config, ...]:
    """The configuration of every run of `python sweep.py -m +experiment=…`."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        settings = _composed((f"+experiment={experiment}",))
        labels = cast("Config", settings["labels"])
        assert labels["experiment"] == experiment
        sweep = cast("Config", settings["sweep"])
        assert sweep["name"] == experiment
        jobs = expand([], checked_parts(sweep["parts"]), experiment, OverridesParser.create()).jobs
        # Experiments set nothing but labels, parts and the model, and share runs: each of these is composed once.
        chosen = {**_DEFAULTS, "model": str(labels["model"])}
        overrides = [{**chosen, **dict(override.split("=", 1) for override in job)} for job in jobs]
        return tuple(_composed(tuple(sorted(f"{key}={value}" for key, value in run.items()))) for run in overrides)


@cache
def _composed(overrides: tuple[str, ...]) -> Config:
    return cast("Config", OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True))
