"""Advantages of 8,192 responses in groups of 16: ours against verl's, from uids to advantages at every token.

Each estimator gets what verl's trainer hands over: token-level rewards, mask and uid strings, the prompts' uids
repeated (``batch.repeat``) and in the order that balancing the batch leaves. Repetitions are interleaved, so that a
slow moment of the machine hits all; the medians are compared as ratios. With few tokens a response the estimators
themselves are compared; with many, writing the (B, T) result is most of the work of all of them. Run
``python -m benchmarks.advantage``; with ``--check`` it fails below the targets.
"""

import argparse
import sys
import time
import uuid
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from verl.trainer.ppo import core_algos

from qae.advantage import outcome_advantages
from qae.config import AdvantageConfig

RESPONSES, GROUP, THREADS = 8192, 16, 2
TARGETS = {"grpo": 150.0, "grpo_vectorized": 20.0, "rloo_vectorized": 4.0}


def main() -> int:
    """Time all estimators and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=8, help="longest response")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    rewards, mask, uids = batch(arguments.tokens)
    estimators: dict[str, Callable[[], object]] = {
        "ours, mean": lambda: outcome_advantages(rewards, mask, uids, AdvantageConfig()),
        "ours, K = 0.4": lambda: outcome_advantages(rewards, mask, uids, AdvantageConfig(quantile_k=0.4)),
        "grpo": lambda: core_algos.compute_grpo_outcome_advantage(rewards.clone(), mask, uids),
        "grpo_vectorized": lambda: core_algos.compute_grpo_vectorized_outcome_advantage(rewards, mask, uids),
        "rloo_vectorized": lambda: core_algos.compute_rloo_vectorized_outcome_advantage(rewards, mask, uids),
    }
    medians = interleaved_medians(estimators, arguments.repetitions)
    print(
        f"{RESPONSES} responses, groups of {GROUP}, {arguments.tokens} tokens, {THREADS} threads, medians of "
        f"{arguments.repetitions} interleaved repetitions"
    )
    missed = False
    for name, seconds in medians.items():
        ratios = "" if name.startswith("ours") else f"   {seconds / medians['ours, K = 0.4']:7.1f}x ours (K = 0.4)"
        print(f"{name:18s} {1e3 * seconds:9.3f} ms{ratios}")
        if name in TARGETS:
            missed |= seconds / medians["ours, K = 0.4"] < TARGETS[name]
    print("targets: " + ", ".join(f"{name} {target:g}x" for name, target in TARGETS.items()))
    return int(arguments.check and missed)


def batch(tokens: int) -> tuple[Tensor, Tensor, np.ndarray[tuple[int], np.dtype[np.object_]]]:
    """Two-valued rewards at the last token, masks of uneven length, shuffled uids."""
    generator = np.random.default_rng(0)
    prompts = RESPONSES // GROUP
    names = [str(uuid.UUID(bytes=generator.bytes(16))) for _ in range(prompts)]
    uids = np.array(names, dtype=object).repeat(GROUP)
    generator.shuffle(uids)
    length = torch.from_numpy(generator.integers(1, tokens + 1, RESPONSES))
    mask = (torch.arange(tokens) < length[:, None]).long()
    rewards = torch.zeros(RESPONSES, tokens)
    rewards[torch.arange(RESPONSES), length - 1] = torch.from_numpy(generator.random(RESPONSES) < 0.3).float()
    return rewards, mask, uids


def interleaved_medians(work: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each piece of work, taken in turn, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repetition in range(repetitions + 1):
        for name, run in work.items():
            started = time.perf_counter()
            run()
            if repetition:
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values)) for name, values in seconds.items()}


if __name__ == "__main__":
    sys.exit(main())
