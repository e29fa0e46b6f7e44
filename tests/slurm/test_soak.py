"""A short soak: runs on a real Slurm under one fault of each kind at least, then an audit without an error."""

from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster
from tests.slurm.soak import Settings, soak, told
from tests.slurm.soak_world import FAULTS

pytestmark = pytest.mark.slow


def test_nothing_is_lost_doubled_or_half_written(cluster: Cluster, tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(seed=1, runs=12, seconds=0.0, every=2.0, steps=96, sample=3, megabytes=96)
    result = soak(cluster, tmp_path, settings, said.append)
    assert result.errors == [], "\n".join([*said, *told(result, settings)])
    assert sum(result.reasons.values()) > 0
    assert set(result.faults) <= set(FAULTS)
    assert [row.equal for row in result.rows] == [True] * settings.sample
