"""Target of groups: the advantages of any batch against the formula, written down once more for one group at a time."""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from qae.advantage import EPSILON, group_advantages
from qae.config import AdvantageConfig
from qae.errors import ConfigError
from tests.fuzz.target import Judge

_SCORES = st.sampled_from([0.0, 1.0]) | st.sampled_from([-1.0, 1.0]) | st.floats(-1e3, 1e3, width=32)
_K = st.floats(0, 1) | st.sampled_from([-1.0, 0.0, 1.0, 2.0, 0.5, 0.25, 1e-9, 1 - 1e-9]) | st.floats()


@contextmanager
def groups(folder: Path) -> Iterator[Judge]:  # noqa: ARG001  # nothing is written
    """Groups of any size in any order: (reward - baseline) / (std + eps), the mean where K lies outside of (0, 1)."""

    def judge(data: st.DataObject) -> str:
        k = data.draw(_K, "K")
        labels = data.draw(st.lists(st.integers(-3, 8), min_size=1, max_size=40), "groups")
        scores = data.draw(st.lists(_SCORES, min_size=len(labels), max_size=len(labels)), "scores")
        try:
            config = AdvantageConfig(quantile_k=k)
        except ConfigError:
            assert not math.isfinite(k)
            return "K refused"
        scores_B = torch.tensor(scores, dtype=torch.float64)
        found = group_advantages(scores_B, torch.tensor(labels), config)
        for rows in _members(labels).values():
            score_G = scores_B[rows].numpy()
            baseline = _baseline(score_G, k)
            deviation = np.std(score_G, ddof=1) if len(rows) > 1 else 1.0
            expected_G = (score_G - baseline) / (deviation + EPSILON)
            np.testing.assert_allclose(found.baseline_B[rows].numpy(), baseline, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(found.advantage_B[rows].numpy(), expected_G, rtol=1e-6, atol=1e-6)
        return "the quantile" if 0 < k < 1 else "the mean"

    yield judge


def _members(labels: list[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        members[label].append(row)
    return members


def _baseline(score_G: np.ndarray, k: float) -> float:
    if len(score_G) == 1:
        return 0.0
    if not 0 < k < 1:
        return float(score_G.mean())
    # Eq. 3 of the paper: the least score whose share of the group is at least K.
    place = max(math.ceil(k * len(score_G) - 1e-9), 1)
    return float(np.sort(score_G)[place - 1])
