"""The `search` section: how a search asks and judges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qae.checks import boolean, is_number, member, whole_number
from qae.errors import ConfigError
from sweeps.search.measures import Bound, Objective


class SamplerName(StrEnum):
    """What proposes the next setting."""

    TPE = "tpe"
    GP = "gp"
    CMAES = "cmaes"
    NSGAII = "nsgaii"
    QMC = "qmc"
    RANDOM = "random"
    GRID = "grid"


class PrunerName(StrEnum):
    """What ends a setting early."""

    NONE = "none"
    MEDIAN = "median"
    HYPERBAND = "hyperband"
    WILCOXON = "wilcoxon"

    @property
    def looks_at_steps(self) -> bool:
        """Whether it looks at runs while they go, and not at whole runs."""
        return self in (PrunerName.MEDIAN, PrunerName.HYPERBAND)


@dataclass(frozen=True)
class SearchSettings:
    """The section `search`, checked.

    Attributes:
        sampler: proposes settings.
        sampler_seed: the same seed and the same results give the same proposals.
        startup_trials: settings drawn at random before `tpe`, `gp` or `cmaes` learns from results.
        n_trials: settings in all, over all processes that share the study.
        n_jobs: runs in flight of this process.
        max_steps: no run is started that would bring the training steps of the search's runs above; None: no limit.
        objectives: what is maximised.
        constraints: bounds that a setting has to keep.
        pruner: ends settings early.
        pruner_trials: finished settings before it ends any (median).
        pruner_warmup: training steps before it looks (median, hyperband).
        pruner_p: level of the test (wilcoxon).
        warm_start: finished runs of the store become trials.
    """

    sampler: SamplerName
    sampler_seed: int
    startup_trials: int
    n_trials: int
    n_jobs: int
    max_steps: int | None
    objectives: tuple[Objective, ...]
    constraints: tuple[Bound, ...]
    pruner: PrunerName
    pruner_trials: int
    pruner_warmup: int
    pruner_p: float
    warm_start: bool

    @classmethod
    def of(cls, config: Mapping[str, object], room: int) -> "SearchSettings":
        """Read it off a configuration.

        Args:
            config: resolved; its sections `search` and `sweep` are read.
            room: runs in flight where the section does not say.

        Raises:
            ConfigError: a value that cannot be used.
        """
        section, sweep = _section(config, "search"), _section(config, "sweep")
        warm_start = boolean("sweep.warm_start", sweep.get("warm_start"))
        names = section.get("objectives")
        if isinstance(names, str) or not isinstance(names, Sequence) or not names:
            raise ConfigError("search.objectives", names, "give a list of at least one, such as [pass_at_1]")
        constraints = section.get("constraints")
        if not isinstance(constraints, Mapping):
            raise ConfigError("search.constraints", constraints, "give a mapping such as {peak_entropy: [null, 1.0]}")
        settings = cls(
            sampler=member(SamplerName, "search.sampler", section.get("sampler")),
            sampler_seed=_whole(section, "sampler_seed", 0),
            startup_trials=_whole(section, "startup_trials", 0),
            n_trials=_whole(section, "n_trials", 1),
            n_jobs=room if section.get("n_jobs") is None else _whole(section, "n_jobs", 1),
            max_steps=None if section.get("max_steps") is None else _whole(section, "max_steps", 1),
            objectives=tuple(dict.fromkeys(Objective.named(name) for name in names)),
            constraints=tuple(Bound.of(name, ends) for name, ends in constraints.items()),
            pruner=member(PrunerName, "search.pruner", section.get("pruner")),
            pruner_trials=_whole(section, "pruner_trials", 0),
            pruner_warmup=_whole(section, "pruner_warmup", 0),
            pruner_p=_probability(section, "pruner_p"),
            warm_start=warm_start,
        )
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        several = len(self.objectives) > 1
        if several and self.pruner is not PrunerName.NONE:
            raise ConfigError("search.pruner", str(self.pruner), "with several objectives nothing is pruned; give none")
        if self.pruner is not PrunerName.NONE and self.objectives[0].k is None:
            fix = f"pruners look at pass@k, not at {self.objectives[0].name}; give none"
            raise ConfigError("search.pruner", str(self.pruner), fix)
        if several and self.sampler is SamplerName.CMAES:
            raise ConfigError("search.sampler", str(self.sampler), "for several objectives give tpe, gp or nsgaii")
        unaware = (SamplerName.CMAES, SamplerName.QMC, SamplerName.RANDOM, SamplerName.GRID)
        if self.constraints and self.sampler in unaware:
            fix = f"{self.sampler} takes no account of search.constraints; give tpe, gp or nsgaii"
            raise ConfigError("search.sampler", str(self.sampler), fix)


def _section(config: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise ConfigError(name, section, "it is a section; set its keys, such as search.n_trials=20")
    return section


def _whole(section: Mapping[str, object], key: str, least: int) -> int:
    return whole_number(f"search.{key}", section.get(key), least)


def _probability(section: Mapping[str, object], key: str) -> float:
    value = section.get(key)
    if not is_number(value) or not 0 < value < 1:
        raise ConfigError(f"search.{key}", value, "give a number between 0 and 1")
    return float(value)
