"""Advantages of 8,192 responses in groups of 16: ours against verl's, from uids to advantages at every token.

Each estimator gets what verl's trainer hands over: token-level rewards, mask and uid strings, the prompts' uids
repeated (``batch.repeat``) and in the order that balancing the batch leaves. Repetitions are interleaved, so that a
slow moment of the machine hits all. Ratios are medians over the slower of our mean and our quantile.

The length of the responses decides what is compared: at 8 tokens the estimators themselves, at 1,024 the writing of
the (B, T) result, which is most of the work of all of them. 128 tokens lies nearest to the proportion of verl's own
estimators on record for this setting (grpo 351 ms to rloo_vectorized 10 ms). All are shown. With two threads on busy
cores each parallel section waits for a thread that is not running, which drowns work of a millisecond: believe the
medians only where they lie near the fastest repetition, printed beside them. Run ``python -m benchmarks.advantage``;
with ``--check`` it fails where a target is missed at any of the lengths.
"""

import argparse
import os
import sys
import time
import uuid
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from verl.trainer.ppo import core_algos

from benchmarks import record
from benchmarks.record import Record
from qae.advantage import outcome_advantages
from qae.config import AdvantageConfig

RESPONSES, GROUP, THREADS = 8192, 16, 2
TARGETS = {"grpo": 150.0, "grpo_vectorized": 20.0, "rloo_vectorized": 4.0}
Uids = np.ndarray[tuple[int], np.dtype[np.object_]]


def main() -> int:
    """Time all estimators at each length; print medians, fastest repetitions and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--tokens", type=int, nargs="+", default=[8, 128, 1024], help="longest response, one or more")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(
        f"{RESPONSES} responses, groups of {GROUP}, {THREADS} threads, {arguments.repetitions} interleaved "
        f"repetitions, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    reached = [compare(tokens, arguments.repetitions) for tokens in arguments.tokens]
    return int(arguments.check and not all(reached))


def compare(tokens: int, repetitions: int) -> bool:
    """Print one length's table; whether all targets are reached."""
    rewards, mask, uids = batch(tokens)
    seconds = interleaved(
        {
            "ours, mean": lambda: outcome_advantages(rewards, mask, uids, AdvantageConfig()),
            "ours, K = 0.4": lambda: outcome_advantages(rewards, mask, uids, AdvantageConfig(quantile_k=0.4)),
            "grpo": lambda: core_algos.compute_grpo_outcome_advantage(rewards, mask, uids),
            "grpo_vectorized": lambda: core_algos.compute_grpo_vectorized_outcome_advantage(rewards, mask, uids),
            "rloo_vectorized": lambda: core_algos.compute_rloo_vectorized_outcome_advantage(rewards, mask, uids),
        },
        repetitions,
    )
    slower = max(
        (name for name in seconds if name.startswith("ours")), key=lambda name: float(np.median(seconds[name]))
    )
    ours = float(np.median(seconds[slower]))
    record.write(
        Record(
            name=f"advantages of {RESPONSES:,} responses of up to {tokens:,} tokens, uids to tokens",
            ours=1e3 * ours,
            unit="ms",
            against=f"verl's {name}",
            theirs=1e3 * float(np.median(seconds[name])),
            ratios=tuple(theirs / own for theirs, own in zip(seconds[name], seconds[slower], strict=True)),
            goal=goal,
        )
        for name, goal in TARGETS.items()
    )
    print(f"\nup to {tokens} tokens      median    fastest      ratio   to reach")
    reached = True
    for name, values in seconds.items():
        median = float(np.median(values))
        line = f"{name:18s} {1e3 * median:8.3f} ms {1e3 * min(values):7.3f} ms"
        if name in TARGETS:
            line += f" {median / ours:9.1f}x {TARGETS[name]:9g}x"
            reached &= median / ours >= TARGETS[name]
        print(line)
    return reached


def batch(tokens: int) -> tuple[Tensor, Tensor, Uids]:
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


def interleaved(work: dict[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each piece of work, taken in turn, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repetition in range(repetitions + 1):
        for name, run in work.items():
            started = time.perf_counter()
            run()
            if repetition:
                seconds[name].append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
