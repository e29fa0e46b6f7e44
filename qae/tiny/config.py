"""The section of the embedded transformer and its task; torch-free. All else is in `qae.embedded.config`."""

from dataclasses import dataclass

from qae.embedded.config import EmbeddedConfig


@dataclass
class Task:
    """Chained modular arithmetic and the teacher that solves it imperfectly; see `qae.tiny.task`."""

    modulus: int
    pretrain_operations: list[int]
    operations: list[int]
    markers: int
    marker_repeat: float
    reliability: list[float]
    misconception: float
    redo_wrong: float
    redo_right: float
    evaluation_problems: int
    seed: int


@dataclass
class Model:
    """Size of the transformer."""

    width: int
    layers: int
    heads: int


@dataclass
class Pretrain:
    """The supervised start on the teacher's solutions."""

    examples: int
    steps: int
    batch_size: int
    lr: float
    seed: int


@dataclass
class Embedded:
    """The `tiny` section: what verl has no key for."""

    task: Task
    model: Model
    pretrain: Pretrain


@dataclass
class TinyConfig(EmbeddedConfig):
    """One run of the embedded transformer."""

    tiny: Embedded

    def __post_init__(self) -> None:
        super().__post_init__()
        from qae.tiny import limits

        limits.check(self.tiny)
