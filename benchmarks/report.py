"""Processor's seconds of ``qae report``: with an empty cache, and with the one that the first report leaves.

A store of done runs as `benchmarks.growth` writes it; each report is a process of its own. Other work on the cores
changes processor's seconds least. ``python -m benchmarks.report [--runs 30]``
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks import record
from benchmarks.growth import processor_seconds, write_store
from benchmarks.record import Record


def main() -> None:
    """Print the seconds of each report."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        write_store(root, options.runs)
        command = ("-m", "sweeps.cli", "report", "all", "--root", str(root), "--out", f"{folder}/report.html")
        cold, *warm = (processor_seconds(command, f"{folder}/cache") for _ in range(1 + options.repetitions))
    print(f"{options.runs} runs: cold {cold:.2f} CPU-s, warm {', '.join(f'{each:.2f}' for each in warm)} CPU-s")
    record.write(_record(name, seconds, options.runs) for name, seconds in (("cold", [cold]), ("warm", warm)))


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--runs", type=int, default=30, help="runs of the store (a multiple of 5)")
    made.add_argument("--repetitions", type=int, default=3, help="reports after the first")
    return made


def _record(name: str, seconds: list[float], runs: int) -> Record:
    return Record(
        name=f"`qae report` of {runs} tabular runs, {name}",
        ours=statistics.median(seconds),
        unit="CPU-s",
        spread=tuple(seconds),
    )


if __name__ == "__main__":
    main()
