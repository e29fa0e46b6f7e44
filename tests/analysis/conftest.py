"""What several tests of the analysis layer read and none changes."""

from pathlib import Path

import pytest

from analysis.runs.frames import Runs
from analysis.sources import run_store
from sweeps.run_store.identity import run_id
from tests.analysis.experiments import runs_of
from tests.analysis.stores import write_configured
from tests.analysis.wandb.recorder import record


@pytest.fixture(scope="session")
def continued_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory ``aaaa`` recorded by the real client: killed at step 60, continued from 41 to 80."""
    run = tmp_path_factory.mktemp("continued") / "aaaa"
    record(run, 1, 60, kill=True)
    record(run, 41, 80)
    return run


@pytest.fixture(scope="session")
def paper_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every run of the paper's experiments, six steps each."""
    root = tmp_path_factory.mktemp("store")
    for config in runs_of("paper"):
        write_configured(root, run_id(config), config, data_sets=("chain4", "chain5"))
    return root


@pytest.fixture(scope="session")
def paper_runs(paper_store: Path) -> Runs:
    """The runs of that store."""
    return run_store.load(paper_store)
