"""Training of the transformer, from its supervised start."""

from collections.abc import Callable, Mapping
from pathlib import Path

from qae.embedded import train as loop
from qae.run_directory import RunDirectory
from qae.tiny.config import TinyConfig
from qae.tiny.policy import TinyPolicy
from qae.tiny.pretrain import PretrainingStoppedError


def train(
    config: TinyConfig,
    directory: RunDirectory,
    *,
    cache: Path,
    on_step: Callable[[int, Mapping[str, float]], None],
    should_stop: Callable[[], bool],
) -> int:
    """As `qae.embedded.train.train`; 0 where `should_stop` said yes before the supervised start was ready.

    Args:
        config: the run.
        directory: of the run.
        cache: where the supervised start is kept for all runs that share it.
        on_step: told each step and its metrics once they are on disk.
        should_stop: asked after each step, and while the supervised start is made.
    """
    try:
        policy = TinyPolicy(config, cache, should_stop)
    except PretrainingStoppedError:
        return 0
    return loop.train(config, policy, directory, on_step=on_step, should_stop=should_stop)
