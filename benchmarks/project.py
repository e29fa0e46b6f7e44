"""Reading a W&B project of 1,000 runs: the first time, when nothing is new, and when some runs have gone on.

The server is the tests' double in a process of its own on this machine, which answers at once and takes its share of
the cores: what is measured is our work and the client's, not W&B's. Run ``python -m benchmarks.project``.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection

import numpy as np

from analysis.runs.frames import Runs
from analysis.sources.wandb import api as wandb_api
from tests.analysis.wandb.runs import ENTITY
from tests.analysis.wandb.server import WandbServer

PROJECT = "big"
_GONE_ON, _NEW_STEPS = 20, 10


def main() -> int:
    """Time the three loads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--metrics", type=int, default=60)
    arguments = parser.parse_args()
    print(f"{arguments.runs} runs x {arguments.steps} steps x {arguments.metrics} metrics", flush=True)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, arguments.runs, arguments.steps, arguments.metrics)
    )
    server.start()
    os.environ |= ours.recv()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["QAE_CACHE"] = cache
        first = timed("first")
        again = timed("nothing new")
        assert len(again.metrics) == len(first.metrics)
        ours.send("go on")
        ours.recv()
        later = timed(f"{_GONE_ON} runs have {_NEW_STEPS} more steps")
        assert len(later.metrics) == len(first.metrics) + _GONE_ON * _NEW_STEPS * arguments.metrics
    ours.send("end")
    server.join()
    return 0


def timed(what: str) -> Runs:
    """A load, with its line."""
    started, processor = time.perf_counter(), time.process_time()
    runs = wandb_api.load(f"{ENTITY}/{PROJECT}")
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    assert not runs.notes, runs.notes
    print(f"{what:32s}{seconds:7.1f} s, {processor:6.1f} s of our processor, {len(runs.metrics):,} numbers", flush=True)
    return runs


def serve(end: Connection, runs: int, steps: int, metrics: int) -> None:
    """The double with its runs; some go on when asked."""
    generator = np.random.default_rng(0)
    names = [f"group{number % 6}/metric{number:02}" for number in range(metrics)]

    def rows(count: int) -> list[dict[str, float]]:
        return [dict(zip(names, row.tolist(), strict=True)) for row in generator.normal(size=(count, metrics))]

    with WandbServer() as server:
        kept = [server.add_run(PROJECT, f"r{index:04}", {"seed": index}, rows(steps)) for index in range(runs)]
        end.send(server.environment)
        end.recv()
        for run in kept[:_GONE_ON]:
            server.log(run, rows(_NEW_STEPS))
        end.send("done")
        end.recv()


if __name__ == "__main__":
    sys.exit(main())
