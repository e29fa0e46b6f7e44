"""Training of the tabular policy."""

from collections.abc import Callable, Mapping

from qae.embedded import train as loop
from qae.run_directory import RunDirectory
from qae.tabular.config import TabularConfig
from qae.tabular.policy import TabularPolicy


def train(
    config: TabularConfig,
    directory: RunDirectory,
    *,
    on_step: Callable[[int, Mapping[str, float]], None],
    should_stop: Callable[[], bool],
) -> int:
    """As `qae.embedded.train.train`."""
    return loop.train(config, TabularPolicy(config), directory, on_step=on_step, should_stop=should_stop)
