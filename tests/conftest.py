"""Settings for all tests."""

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

# Tests share few cores with the processes that they start: waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.slurm.matrix import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]  # a hook: prints the fault matrix

# Files that start Rays, in order, and those that share the machine's Slurm.
_RAY = ("tests/verl_plugin/test_cpu_run.py", "tests/slurm/ray/test_ray.py")
_SLURM = "tests/slurm/"
# Files that compose every experiment, which one process does once.
_EXPERIMENTS = (
    "tests/sweeps/test_golden_ids.py",
    "tests/analysis/runs/test_identity.py",
    "tests/analysis/figures/test_paper_figures.py",
)

torch.set_num_threads(1)

# Examples may take as long as a busy machine makes them.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")

# A shell starts background jobs with SIGINT ignored, and so would be every process whose Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Files go to whichever process is free; some go together.

    All that start Rays, all on the machine's Slurm, all that compose every experiment: to one process each.
    Ray gives a node 30 seconds to start, which two of them at once would miss on few cores. The Slurm on which Ray is
    tested is another one.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path in _RAY:
            return "ray"
        if path in _EXPERIMENTS:
            return "experiments"
        return "slurm" if path.startswith(_SLURM) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """How tests are shared out where they run side by side (`make test`)."""
    return _ByFile(config, log)


def pytest_runtest_setup() -> None:
    """Let loggers speak: `hydra/job_logging: disabled` silences those of a process that composes, for good."""
    logging.getLogger().setLevel(logging.WARNING)
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False


@pytest.fixture(scope="session", autouse=True)
def any_width() -> None:
    """Output is as wide as it is: xdist gives its processes the width of the terminal that looks on."""
    os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Makes the folder of a run store in a folder; they all share one cache, so that a model is pretrained once."""
    cache = tmp_path_factory.mktemp("pretrained")

    def make(folder: Path) -> Path:
        root = folder / "runs"
        root.mkdir()
        (root / "cache").symlink_to(cache)
        return root

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts Rays takes longest and comes first, then Slurm, then other long files: none is left for the end."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[int, int]:
    path = item.nodeid.partition("::")[0]
    if path in _RAY:
        return (0, _RAY.index(path))
    return (1, 0) if path.startswith(_SLURM) else (2, item.get_closest_marker("long") is None)
