"""The other side of `benchmarks.statistics`: rliable's intervals, one repetition for each line on standard input.

It runs under a Python that has rliable and none of our packages: ``rliable_child.py SCORES.npy RESAMPLES``.
"""

import importlib.metadata
import json
import sys
import time

import numpy as np
from rliable import library, metrics


def aggregates(
    scores: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """What is bootstrapped."""
    return np.array([metrics.aggregate_iqm(scores), metrics.aggregate_mean(scores), metrics.aggregate_median(scores)])


def main() -> None:
    """Answer each line with a line of JSON."""
    scores, resamples = np.load(sys.argv[1]), int(sys.argv[2])
    methods = {str(number): table for number, table in enumerate(scores)}
    for _ in sys.stdin:
        started, cpu_started = time.perf_counter(), time.process_time()
        values, found = library.get_interval_estimates(methods, aggregates, reps=resamples)
        answer = {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "values": [values[name].tolist() for name in methods],
            "intervals": [found[name].T.tolist() for name in methods],
            "version": importlib.metadata.version("rliable"),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
