"""The section of the embedded transformer and its task; torch-free. All else is in `qae.embedded.sections`."""

from dataclasses import dataclass


@dataclass
class Task:
    """Chained modular arithmetic and the teacher that solves it imperfectly; see `qae.tiny.task`.

    The keys with a default are those of `model=tiny-failures`; with the defaults responses have no form.
    """

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
    zipf_exponent: float = 1.0
    style_tokens: int = 0
    failure_tokens: int = 0


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
