"""A run of the tabular policy; torch-free."""

from dataclasses import dataclass

from qae.embedded.config import EmbeddedConfig
from qae.tabular import limits
from qae.tabular.sections import World


@dataclass
class TabularConfig(EmbeddedConfig):
    """One run of the tabular policy."""

    tabular: World

    def __post_init__(self) -> None:
        super().__post_init__()
        limits.check(self, self.tabular)
