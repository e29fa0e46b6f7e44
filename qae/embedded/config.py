"""A run of an embedded trainer: its sections read from a composed configuration, with their limits; torch-free.

What the embedded trainers do not implement is an error that names the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Self

from qae.config import AdvantageConfig
from qae.embedded import limits, reading
from qae.embedded.sections import Sections
from qae.errors import ConfigError


@dataclass
class EmbeddedConfig(Sections):
    """One run of an embedded trainer, checked."""

    advantage: AdvantageConfig = field(init=False)

    def __post_init__(self) -> None:
        self.advantage = AdvantageConfig.from_mapping(
            {f.name: getattr(self.algorithm, f.name) for f in fields(self.algorithm)}
        )
        limits.check(self)

    @classmethod
    def from_mapping(cls, config: Mapping[str, object]) -> Self:
        """Read the sections that the trainer knows from a composed configuration.

        Args:
            config: resolved mapping; top-level sections that are not fields of this class are operational
                and left alone, every key inside a section must be known.

        Raises:
            ConfigError: an unknown or missing key, a value of another type or outside its limits.
        """
        sections = [f for f in fields(cls) if f.init]
        if missing := [f.name for f in sections if f.name not in config]:
            raise ConfigError(missing[0], None, "the embedded trainers need this section; choose model=tabular or tiny")
        values: dict[str, Any] = {
            f.name: reading.section(f.name, f.type, config[f.name])
            if isinstance(f.type, type) and is_dataclass(f.type)
            else reading.integer(f.name, config[f.name])
            for f in sections
        }
        return cls(**values)
