"""Random numbers by name instead of by history.

Every draw of a run comes from a generator made of (seed, purpose, step, part). So no generator state has to be
saved, a continued run draws what the uninterrupted one would have drawn, and a change in one phase does not
shift the draws of another.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a generator is for."""

    PROBLEMS = 1
    SAMPLING = 2
    REWARD_NOISE = 3
    SHUFFLING = 4
    LOSS = 5
    EVALUATION = 6


def numpy_generator(seed: int, purpose: Purpose, step: int, part: int = 0) -> np.random.Generator:
    """A numpy generator for one purpose in one step."""
    return np.random.default_rng(_sequence(seed, purpose, step, part))


def torch_generator(seed: int, purpose: Purpose, step: int, part: int = 0) -> torch.Generator:
    """A torch generator for one purpose in one step."""
    return torch.Generator().manual_seed(torch_seed(seed, purpose, step, part))


def torch_seed(seed: int, purpose: Purpose, step: int, part: int = 0) -> int:
    """The seed of `torch_generator`, for code that draws from torch's global generator (verl's clip_cov)."""
    return int(_sequence(seed, purpose, step, part).generate_state(1, np.uint64)[0] >> 1)


def _sequence(seed: int, purpose: Purpose, step: int, part: int) -> np.random.SeedSequence:
    # SeedSequence refuses negative entropy; a negative seed is as good as any other.
    return np.random.SeedSequence([abs(seed), int(seed < 0), purpose, step, part])
