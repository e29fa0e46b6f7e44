"""The configurations of a sweep's jobs, equal to Hydra's own and without its price a job.

Hydra composes a job in a tenth of a second and more: it reads the tree, resolves the defaults lists and merges every
file again. Jobs that differ only in the values of keys share all of that. So Hydra composes the first job of each
structure, and the others are that configuration with their own values written into it. Whatever this cannot be sure of
(see `_template`) Hydra composes itself.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from qae.nested import section
from sweeps.composition.plain import plain

Config: TypeAlias = Mapping[str, object]
Path: TypeAlias = tuple[str, ...]
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w\-]*(\.[A-Za-z_][\w\-]*)*", re.ASCII)
# Interpolations whose value is a key's or the environment's; other resolvers may give another value each time.
_OF_A_KEY = re.compile(r"\$\{\.*[A-Za-z_][\w\-]*(\.[\w\-]+)*\}", re.ASCII)
_KEYS = re.compile(r"\$\{([A-Za-z_][\w\-.]*)\}", re.ASCII)
# Hydra's resolver knows the run that it has started alone, and there is one for each job of a sweep to compose.
_CHOICE = re.compile(r"\$\{hydra:runtime\.choices\.([\w/\-]+)\}")
_OF_THE_ENVIRONMENT = re.compile(r"\$\{oc\.env:[^${}\[\]\\'\"]*\}")


def resolved(config: DictConfig) -> dict[str, object]:
    """A job's configuration as plain containers, without Hydra's own section.

    Args:
        config: with that section, which says what was chosen of each group.
    """
    return plain(_ours(config), complete=True)


def compose_jobs(loader: ConfigLoader, master: DictConfig, jobs: Sequence[Sequence[str]]) -> list[Config]:
    """The resolved configuration of each job, as `ConfigLoader.load_sweep_config` composes it.

    Jobs share what they have in common: a mapping inside one of them is not to be changed.

    Args:
        loader: Hydra's.
        master: the multirun's configuration.
        jobs: overrides of each job.

    Raises:
        HydraException, OmegaConfBaseException: an override that cannot be.
    """
    composer = _Composer(loader, master)
    return [composer.compose(job) for job in jobs]


@dataclass(frozen=True)
class _Value:
    """An override that writes a value and depends on nothing else."""

    key: Path
    value: object


@dataclass(frozen=True)
class _Interpolation:
    """A place whose value depends on other keys.

    Attributes:
        place: of the text.
        sources: keys that it names, and those that these depend on; None: not known.
    """

    place: Path
    sources: frozenset[Path] | None

    def depends_on(self, keys: Sequence[Path]) -> bool:
        """Whether another value of these keys may be another value of the place."""
        return self.sources is None or any(_overlap(key, source) for key in keys for source in self.sources)


@dataclass(frozen=True)
class _Template:
    """A composed structure.

    Attributes:
        config: the first job's, resolved.
        interpolations: places whose value depends on other keys.
        nodes: the first job's configuration as OmegaConf has it, for interpolations; values are written into it.
    """

    config: Config
    interpolations: tuple[_Interpolation, ...]
    nodes: DictConfig

    def with_values(self, values: Sequence[_Value]) -> Config:
        """The configuration of a job of the same structure."""
        config = self.config
        for one in values:
            config = _replaced(config, one.key, one.value)
        keys = [one.key for one in values]
        if dependent := [other.place for other in self.interpolations if other.depends_on(keys)]:
            for one in values:
                OmegaConf.update(self.nodes, ".".join(one.key), one.value)
            for place in dependent:
                found = OmegaConf.select(self.nodes, ".".join(place), throw_on_missing=True)
                value = OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found
                config = _replaced(config, place, value)
        return config


class _Composer:
    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._parser = OverridesParser.create()
        self._parsed: dict[str, Override] = {}
        self._groups: dict[str, bool] = {}
        # None: jobs of this structure are Hydra's to compose, each.
        self._templates: dict[tuple[str, ...], _Template | None] = {}

    def compose(self, job: Sequence[str]) -> Config:
        structure: list[str] = []
        values: list[_Value] = []
        others: list[Override] = []
        for line in job:
            override = self._parse(line)
            if (value := self._as_value(override)) is not None:
                values.append(value)
                structure.append(f"{override.type} {override.key_or_group} {isinstance(value.value, list)}")
            else:
                others.append(override)
                structure.append(f"as typed: {line}")
        if not _independent(values, others):
            return resolved(self._by_hydra(job))
        name = tuple(structure)
        if name not in self._templates:
            composed = self._by_hydra(job)
            config = resolved(composed)
            self._templates[name] = _template(composed, config, values)
            return config
        template = self._templates[name]
        return resolved(self._by_hydra(job)) if template is None else template.with_values(values)

    def _by_hydra(self, job: Sequence[str]) -> DictConfig:
        return self._loader.load_sweep_config(self._master, list(job))

    def _parse(self, line: str) -> Override:
        if line not in self._parsed:
            self._parsed[line] = self._parser.parse_override(line)
        return self._parsed[line]

    def _as_value(self, override: Override) -> _Value | None:
        """The value that an override writes; None where it may do more than that."""
        key = override.key_or_group
        if (
            override.type not in (OverrideType.CHANGE, OverrideType.FORCE_ADD)
            or override.package is not None
            or override.is_sweep_override()
            or override.is_hydra_override()
            or not _PLAIN_KEY.fullmatch(key)
            or self._is_group(key)
        ):
            return None
        value = override.value()
        return _Value(tuple(key.split(".")), value) if _is_plain(value) else None

    def _is_group(self, key: str) -> bool:
        if key not in self._groups:
            kinds = (ObjectType.CONFIG, ObjectType.GROUP)
            self._groups[key] = any(self._loader.get_group_options(key, kind) for kind in kinds)
        return self._groups[key]


def _template(composed: DictConfig, config: Config, values: Sequence[_Value]) -> _Template | None:
    """The structure of a composed job; None where its other values may depend on more than its keys."""
    nodes = _ours(composed)
    raw = plain(nodes, resolve=False)
    texts: dict[Path, str] = {}
    for place, text in _interpolations(raw):
        rest = _OF_THE_ENVIRONMENT.sub("", text)
        if "${" in _OF_A_KEY.sub("", rest) or "\\" in text or "${hydra" in text or any("." in name for name in place):
            return None
        if "${" in rest:
            texts[place] = texts.get(place, "") + rest
    if any(not _is_own(raw, value.key) for value in values):
        return None
    return _Template(config, _with_sources(texts), nodes)


def _with_sources(texts: Mapping[Path, str]) -> tuple[_Interpolation, ...]:
    """Interpolations with all that they depend on, over any number of steps."""
    named = {place: {tuple(key.split(".")) for key in _KEYS.findall(text)} for place, text in texts.items()}
    relative = {place for place, text in texts.items() if "${." in text}
    found = []
    for place in texts:
        reached: set[Path] = set()
        steps = [place]
        sources: set[Path] = set()
        while steps:
            step = steps.pop()
            reached.add(step)
            sources |= named[step]
            steps += [other for other in texts if other not in reached and any(_overlap(other, s) for s in sources)]
        found.append(_Interpolation(place, None if reached & relative else frozenset(sources)))
    return tuple(found)


def _interpolations(section: object, place: Path = ()) -> Iterator[tuple[Path, str]]:
    """Where text with ``${`` stands; of a list, where the list stands."""
    if isinstance(section, Mapping):
        for key, value in section.items():
            yield from _interpolations(value, (*place, str(key)))
    elif isinstance(section, list):
        for value in section:
            for _, text in _interpolations(value):
                yield place, text
    elif isinstance(section, str) and "${" in section:
        yield place, section


def _is_own(raw: Config, key: Path) -> bool:
    """Whether every section above a key is a mapping of its own, and no interpolation or list."""
    section: object = raw
    for name in key[:-1]:
        section = section.get(name) if isinstance(section, Mapping) else None
    return isinstance(section, Mapping) and key[-1] in section


def _independent(values: Sequence[_Value], others: Sequence[Override]) -> bool:
    """Whether no override writes what another one writes, so that their order says nothing."""
    keys = [value.key for value in values]
    fixed = [tuple(override.key_or_group.split(".")) for override in others]
    return not any(
        _overlap(key, other) for i, key in enumerate(keys) for other in (*keys[i + 1 :], *fixed)
    ) and not any(override.key_or_group.startswith("hydra.searchpath") for override in others)


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _is_plain(value: object) -> bool:
    """Whether OmegaConf stores it as it is: no mapping (it would be merged), interpolation or missing value."""
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, str):
        return "${" not in value and value != "???"
    return value is None or isinstance(value, bool | int | float)


def _replaced(config: Config, key: Path, value: object) -> Config:
    """A copy with one value changed; what is beside the way to it is shared."""
    first, *rest = key
    if not rest:
        return {**config, first: value}
    return {**config, first: _replaced(section(config, first), tuple(rest), value)}


def _ours(config: DictConfig) -> DictConfig:
    """The configuration without Hydra's own section, with the names of chosen options as labels."""
    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    labels, choices = ours.get("labels", {}), config.hydra.runtime.choices
    for name, text in plain(labels, resolve=False).items() if labels else ():
        if (found := _CHOICE.fullmatch(str(text))) is not None:
            labels[name] = choices.get(found[1], "???")  # a group that was taken out is then refused as missing
    return ours
