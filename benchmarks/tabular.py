"""Processor's seconds of 60 steps of the tabular policy with the default settings, on one thread.

The first training of a process is cold, the others are warm; imports do not count. ``python -m benchmarks.tabular``
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import record
from benchmarks.record import Record
from qae.run_directory import RunDirectory
from qae.tabular.config import TabularConfig
from qae.tabular.train import train
from tests.support.configs import embedded_mapping

STEPS, MOST_SECONDS = 60, 2.0


def main() -> None:
    """Print the seconds of each training."""
    options = parser().parse_args()
    torch.set_num_threads(1)
    cold, *warm = (trained() for _ in range(1 + options.repetitions))
    print(f"{STEPS} steps: cold {cold:.2f} CPU-s, warm {', '.join(f'{each:.2f}' for each in warm)} CPU-s")
    record.write(_record(name, seconds) for name, seconds in (("cold", [cold]), ("warm", warm)))


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--repetitions", type=int, default=5, help="trainings after the first")
    return made


def trained() -> float:
    """Processor's seconds of one training, with its files and evaluations."""
    config = TabularConfig.from_mapping(embedded_mapping(f"trainer.total_training_steps={STEPS}"))
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        done = train(config, RunDirectory(Path(folder) / "run"), on_step=lambda *_: None, should_stop=lambda: False)
        assert done == STEPS
        return time.process_time() - started


def _record(name: str, seconds: list[float]) -> Record:
    return Record(
        name=f"{STEPS} steps of the tabular policy, {name}",
        ours=statistics.median(seconds),
        unit="CPU-s",
        spread=tuple(seconds),
        goal=MOST_SECONDS,
    )


if __name__ == "__main__":
    main()
