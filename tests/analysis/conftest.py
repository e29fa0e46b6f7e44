"""What several tests of the analysis layer read and none changes."""

from pathlib import Path

import pytest

from tests.analysis.recorder import record


@pytest.fixture(scope="session")
def continued_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory ``aaaa`` recorded by the real client: killed at step 60, continued from 41 to 80."""
    run = tmp_path_factory.mktemp("continued") / "aaaa"
    record(run, 1, 60, kill=True)
    record(run, 41, 80)
    return run
