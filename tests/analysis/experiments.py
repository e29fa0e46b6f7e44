"""The named experiments as a sweep composes them, without launching anything."""

from functools import cache
from typing import cast

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from sweeps.composition.compose import compose_jobs
from sweeps.composition.parts import checked_parts, expand
from tests.support.configs import TREE

Config = dict[str, object]


def names() -> list[str]:
    """Every named experiment."""
    return sorted(path.stem for path in (TREE / "experiment").glob("*.yaml"))


@cache
def runs_of(experiment: str) -> tuple[Config, ...]:
    """The configuration of every run of `python sweep.py -m +experiment=…`; none is to be changed."""
    parser, chosen = OverridesParser.create(), f"+experiment={experiment}"
    with initialize_config_dir(str(TREE), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], RunMode.MULTIRUN)
        settings = loader.load_sweep_config(master, [chosen])
        assert settings.labels.experiment == settings.sweep.name == experiment
        parts = checked_parts(OmegaConf.to_container(settings.sweep.parts))
        jobs = expand(parser.parse_overrides([chosen]), parts, experiment, parser).jobs
        return tuple(cast("Config", dict(job)) for job in compose_jobs(loader, master, jobs))
