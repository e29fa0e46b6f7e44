"""The cluster of these tests."""

import os
from dataclasses import dataclass
from pathlib import Path
import pytest


@dataclass(frozen=True)
class Cluster:
    script: Path


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster(Path("/work/wt/core/slurm/local_cluster.sh"))
