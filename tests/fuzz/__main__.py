"""python -m tests.fuzz [INPUTS] [--seed N] [--only NAME]: try inputs of every kind, count how the toolkit behaved."""

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.target import play
from tests.fuzz.targets import TARGETS

_ROUND = 1000  # inputs between two rounds of hypothesis, whose memory of inputs grows


@dataclass(frozen=True)
class Played:
    """Rounds of a target.

    Attributes:
        name: of the target.
        seen: how often the toolkit behaved in which way.
        seconds: that the inputs took.
        failure: the traceback of the smallest input that broke a promise; "" where none did.
    """

    name: str
    seen: Counter[str]
    seconds: float
    failure: str = ""


def rounds(inputs: int) -> Iterator[int]:
    """Sizes of rounds that come to so many inputs."""
    while inputs > 0:
        yield min(inputs, _ROUND)
        inputs -= _ROUND


def played(index: int, inputs: int, seed: int) -> Played:
    """Play a target in rounds."""
    target = TARGETS[index]
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, target.prepare(Path(folder)) as judge:
        start = time.monotonic()
        for number, size in enumerate(rounds(inputs)):
            try:
                seen += play(judge, size, seed + number)
            except Exception:  # whatever it is, it is what was looked for
                return Played(target.name, seen, time.monotonic() - start, traceback.format_exc())
        return Played(target.name, seen, time.monotonic() - start)


def main() -> int:
    """Play all targets side by side and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; others draw other inputs")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    options = parser.parse_args()
    chosen = [index for index, target in enumerate(TARGETS) if options.only in target.name]
    sizes = {index: options.inputs * TARGETS[index].share // 1000 for index in chosen}
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        results = list(pool.map(played, chosen, sizes.values(), [options.seed] * len(chosen)))
    print("| inputs | of them | what came of them | a second |\n|---|--:|---|--:|")
    for result in results:
        total = sum(result.seen.values())
        came = ", ".join(f"{count} {way}" for way, count in result.seen.most_common())
        print(f"| {result.name} | {total} | {came} | {total / max(result.seconds, 1e-9):.0f} |")
    print(f"{sum(sum(result.seen.values()) for result in results)} inputs")
    failed = [result for result in results if result.failure]
    for result in failed:
        print(f"\n{result.name} broke a promise:\n{result.failure}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
