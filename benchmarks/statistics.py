"""Intervals of IQM, mean and median for two methods: ours against rliable, in one run on the same scores.

rliable 1.2.0 does not import beside pandas 3, so it runs in an environment of its own, as a child of this process with
as many threads. Both get the same scores, the same number of resamples and the same kind of resampling (runs within
each task), and give percentile intervals. Repetitions are interleaved, so that a slow moment of the machine hits both;
ratios are of medians, of elapsed seconds for the target and of processor seconds beside it, which tell how much of a
ratio is the doing of other processes. The aggregates themselves must be equal. The greatest difference between the ends
of the intervals is printed relative to an interval's width: both are random, and so are two runs of rliable against
each other.

Run ``make benchmark-statistics``, or ``python -m benchmarks.statistics --python FILE`` with a Python that has rliable;
with ``--check`` it fails where a target is missed. It fails in any case where the results differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.statistics import Aggregate, Estimate, aggregate_intervals
from analysis.statistics.intervals import FloatArray
from benchmarks import record
from benchmarks.record import Record

WANTED = (Aggregate.IQM, Aggregate.MEAN, Aggregate.MEDIAN)
# Ends of two honest intervals differ by the noise of their resamples, at 2,000 of them some hundredths of the width.
AGREEMENT = 0.15
CHILD = Path(__file__).parent / "others" / "rliable_child.py"


@dataclass(frozen=True)
class Size:
    """A size of the problem and the ratio to reach."""

    runs: int
    tasks: int
    resamples: int
    target: float


@dataclass(frozen=True)
class Timing:
    """Seconds of a repetition, elapsed and of the processor."""

    elapsed: float
    cpu: float


@dataclass(frozen=True)
class Answer:
    """What rliable says.

    Attributes:
        values: float (methods, aggregates).
        ends: of the intervals, float (methods, aggregates, 2).
        timing: of the repetition.
        version: of rliable.
    """

    values: FloatArray
    ends: FloatArray
    timing: Timing
    version: str


SIZES = (Size(5, 30, 2_000, 50.0), Size(100, 30, 10_000, 10.0))


def main() -> int:
    """Time both at each size; print medians, ratios and by how much the intervals differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="a Python with rliable")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    print(
        f"2 methods, IQM + mean + median, 95 % percentile intervals, {arguments.repetitions} interleaved repetitions, "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    reached = [compare(size, arguments.python, arguments.repetitions) for size in SIZES]
    return int(arguments.check and not all(reached))


def compare(size: Size, python: str, repetitions: int) -> bool:
    """Print one size's line; whether its target is reached and the intervals agree."""
    generator = np.random.default_rng(0)
    scores = [generator.beta(2, 3, (size.runs, size.tasks)) for _ in range(2)]
    timings: dict[str, list[Timing]] = {"ours": [], "rliable": []}
    apart = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npy"
        np.save(path, np.array(scores))
        command = [python, str(CHILD), str(path), str(size.resamples)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
            for repetition in range(repetitions + 1):
                started, cpu_started = time.perf_counter(), time.process_time()
                ours = [aggregate_intervals(table, WANTED, resamples=size.resamples) for table in scores]
                timing = Timing(time.perf_counter() - started, time.process_time() - cpu_started)
                theirs = ask(child)
                apart = max(apart, difference(ours, theirs))
                if repetition:
                    timings["ours"].append(timing)
                    timings["rliable"].append(theirs.timing)
    print(f"\n{size.runs} runs x {size.tasks} tasks, {size.resamples} resamples (rliable {theirs.version})")
    for name, of in timings.items():
        print(
            f"{name:8s} median {1e3 * median(of).elapsed:9.1f} ms, of the processor {1e3 * median(of).cpu:9.1f} ms; "
            f"fastest {1e3 * min(one.elapsed for one in of):9.1f} ms"
        )
    ratio = median(timings["rliable"]).elapsed / median(timings["ours"]).elapsed
    cpu_ratio = median(timings["rliable"]).cpu / median(timings["ours"]).cpu
    print(
        f"ratio {ratio:.1f}x, to reach {size.target:g}x (of the processor {cpu_ratio:.1f}x); ends of intervals differ "
        f"by at most {apart:.1%} of a width, the aggregates are equal"
    )
    record.write(
        [
            Record(
                name=f"intervals of IQM, mean and median, {size.runs} runs x {size.tasks} tasks",
                ours=1e3 * median(timings["ours"]).elapsed,
                unit="ms",
                against=f"rliable {theirs.version}",
                theirs=1e3 * median(timings["rliable"]).elapsed,
                ratios=tuple(t.elapsed / o.elapsed for t, o in zip(timings["rliable"], timings["ours"], strict=True)),
                goal=size.target,
            )
        ]
    )
    return ratio >= size.target


def median(timings: list[Timing]) -> Timing:
    """Of both by themselves."""
    return Timing(float(np.median([one.elapsed for one in timings])), float(np.median([one.cpu for one in timings])))


def difference(ours: list[dict[Aggregate, Estimate]], theirs: Answer) -> float:
    """The greatest difference between the ends of both sides' intervals, in widths of an interval.

    Raises:
        SystemExit: aggregates differ, or intervals by more than their noise.
    """
    values = np.array([[of[which].value for which in WANTED] for of in ours])
    ends = np.array([[(of[which].low, of[which].high) for which in WANTED] for of in ours])
    if not np.allclose(values, theirs.values, rtol=1e-12, atol=0):
        raise SystemExit(f"the aggregates differ: {values.tolist()} and {theirs.values.tolist()}")
    apart = float((np.abs(ends - theirs.ends) / np.ptp(ends, axis=2, keepdims=True)).max())
    if apart > AGREEMENT:
        raise SystemExit(f"the intervals differ by {apart:.1%} of a width: {ends.tolist()} and {theirs.ends.tolist()}")
    return apart


def ask(child: "subprocess.Popen[str]") -> Answer:
    """One repetition of rliable's."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    line = child.stdout.readline()
    if not line:
        raise SystemExit(
            f"rliable does not run there (exit code {child.wait()}); `make benchmark-statistics` sets it up"
        )
    said = json.loads(line)
    return Answer(
        np.array(said["values"]),
        np.array(said["intervals"]),
        Timing(float(said["seconds"]), float(said["cpu_seconds"])),
        str(said["version"]),
    )


if __name__ == "__main__":
    sys.exit(main())
