"""A run of the embedded transformer; torch-free."""

from dataclasses import dataclass

from qae.embedded.config import EmbeddedConfig
from qae.tiny import limits
from qae.tiny.sections import Embedded


@dataclass
class TinyConfig(EmbeddedConfig):
    """One run of the embedded transformer."""

    tiny: Embedded

    def __post_init__(self) -> None:
        super().__post_init__()
        limits.check(self.tiny, self.data.max_response_length)
