"""Loading W&B's offline files: ours against the SDK's old reader and `wandb leet inspect`, on files of the real client.

All read the same files and give the same table (run, step, name, value); of ours and the old reader it is checked that
they have as many rows and the same sum. Imports do not count. One reader runs after the other, so on a machine with
other work the seconds of processor compare and those on the clock do not. The old reader
(``wandb.sdk.internal.datastore``, gone since wandb 0.31) is `benchmarks/others/loading_datastore.py`, run by a Python
that has an old wandb: see ``make benchmark-loading``. `wandb leet inspect --json` prints a file's records; orjson
parses its lines.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pandas as pd

from analysis import sources
from benchmarks import record
from benchmarks.record import Record

COLD_TARGET, CACHED_TARGET = 3.0, 50.0
_RECIPE = Path(__file__).parent / "others" / "loading_datastore.py"
_CACHED_LOADS = 5


@dataclass(frozen=True)
class Load:
    """Seconds of a load on the clock and of processor, and what it gave."""

    seconds: float
    processor: float
    rows: int
    total: float

    @classmethod
    def of(cls, seconds: float, processor: float, metrics: pd.DataFrame) -> "Load":
        """What a load of these metrics took; W&B's own keys, which ours leaves out, do not count."""
        values = metrics.loc[~metrics["name"].astype("str").str.startswith("_"), "value"]
        return cls(seconds, processor, len(values), float(values.sum()))

    def agrees_with(self, other: "Load") -> bool:
        """Whether both read the same numbers."""
        return self.rows == other.rows and bool(np.isclose(self.total, other.total, rtol=1e-9))


def main() -> int:
    """Record the files where they are missing, time the readers and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--metrics", type=int, default=60)
    parser.add_argument("--data", type=Path, default=Path("runs/cache/benchmark-loading"), help="the recorded files")
    parser.add_argument("--old-python", type=Path, help="a Python with a wandb that has the old reader")
    parser.add_argument("--leet-files", type=int, default=10, help="files given to leet; its time is scaled to all")
    parser.add_argument("--check", action="store_true", help="exit with 1 below a target")
    arguments = parser.parse_args()
    folder = recorded(arguments.data, arguments.runs, arguments.steps, arguments.metrics)
    files = sorted(folder.rglob("*.wandb"))
    size = sum(path.stat().st_size for path in files)
    print(f"{len(files)} runs x {arguments.steps} steps x {arguments.metrics} metrics, {size / 1e6:.0f} MB of .wandb")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["QAE_CACHE"] = cache
        cold = time_ours(folder)
        cached = [time_ours(folder) for _ in range(_CACHED_LOADS)]
    assert all(load.agrees_with(cold) for load in cached)
    warm = replace(
        cold,
        seconds=statistics.median(load.seconds for load in cached),
        processor=statistics.median(load.processor for load in cached),
    )
    _show("ours, cold", cold, f"{cold.rows:,} numbers; the cache is written")
    _show("ours, from cache", warm, f"median of {_CACHED_LOADS}")
    some = files[: arguments.leet_files]
    leet, scale = time_leet(some), len(files) / len(some)
    _show(
        "leet inspect",
        replace(leet, seconds=leet.seconds * scale, processor=leet.processor * scale),
        f"scaled from {len(some)} files",
    )
    if arguments.old_python is None:
        return 0
    old = time_datastore(arguments.old_python, folder)
    assert old.agrees_with(cold), f"the readers disagree: {old} {cold}"
    _show("old DataStore", old, "")
    for name, load, target in (("cold", cold, COLD_TARGET), ("from cache", warm, CACHED_TARGET)):
        clock, processor = old.seconds / load.seconds, old.processor / load.processor
        print(f"{name:18s}{clock:7.1f}x on the clock, {processor:7.1f}x of processor (target {target:g}x)")
    record.write(
        _records(
            cold, [load.seconds for load in cached], old, f"{len(files)} offline W&B runs x {arguments.steps:,} steps"
        )
    )
    missed = old.seconds / cold.seconds < COLD_TARGET or old.seconds / warm.seconds < CACHED_TARGET
    return int(arguments.check and missed)


def _records(cold: Load, cached: list[float], old: Load, what: str) -> list[Record]:
    def of(name: str, seconds: list[float], goal: float) -> Record:
        return Record(
            name=f"loading {what}, {name}",
            ours=statistics.median(seconds),
            unit="s",
            against="DataStore of wandb 0.27",
            theirs=old.seconds,
            ratios=tuple(old.seconds / each for each in seconds),
            goal=goal,
            note="the old reader was timed once",
        )

    return [of("cold", [cold.seconds], COLD_TARGET), of("from the cache", cached, CACHED_TARGET)]


def _show(name: str, load: Load, remark: str) -> None:
    print(f"{name:18s}{load.seconds:8.2f} s on the clock, {load.processor:8.2f} s of processor  {remark}")


def recorded(data: Path, runs: int, steps: int, metrics: int) -> Path:
    """A folder with the offline files of so many runs, recorded by the client once and kept."""
    folder = data / f"{runs}x{steps}x{metrics}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"recording {runs} runs with the client into {folder} …", flush=True)
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(partial(_record, folder, steps, metrics), range(runs)))
        (folder / "complete").touch()
    return folder


def _record(folder: Path, steps: int, metrics: int, index: int) -> None:
    import wandb

    run_id = f"run{index:03}"
    if list(folder.glob(f"wandb/*-{run_id}/*.wandb")):
        return
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True, save_code=False)
    values = np.random.default_rng(index).normal(size=(steps, metrics)).cumsum(axis=0)
    names = [f"group{number % 6}/metric{number:02}" for number in range(metrics)]
    with wandb.init(
        project="loading", id=run_id, mode="offline", dir=str(folder), config={"seed": index}, settings=settings
    ) as run:
        for step, row in enumerate(values):
            run.log(dict(zip(names, row.tolist(), strict=True)), step=step)


def time_ours(folder: Path) -> Load:
    """One load of ours."""
    started, processor = time.perf_counter(), time.process_time()
    runs = sources.load(folder)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    assert not runs.notes, runs.notes
    return Load.of(seconds, processor, runs.metrics)


def time_leet(files: list[Path]) -> Load:
    """`wandb leet inspect` over the files, a process a file, and a table out of what it prints."""
    started, processor = time.perf_counter(), _processor_with_children()
    frames = [_leet_frame(path) for path in files]
    metrics = pd.concat(frames, ignore_index=True)
    return Load.of(time.perf_counter() - started, _processor_with_children() - processor, metrics)


def _processor_with_children() -> float:
    return sum(os.times()[:4])


def _leet_frame(path: Path) -> pd.DataFrame:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, timeout=600).stdout  # noqa: S603
    rows: list[tuple[int, str, float]] = []
    for line in printed.splitlines():
        record = orjson.loads(line)
        if record["type"] == "history":
            step = record["history"]["step"]["num"]
            rows += [(step, name, value) for name, value in record["history"]["item"].items()]
    return pd.DataFrame(rows, columns=["step", "name", "value"]).assign(run=path.stem)


def time_datastore(python: Path, folder: Path) -> Load:
    """The old reader in a process of its own."""
    command = [str(python), str(_RECIPE), str(folder)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600).stdout  # noqa: S603
    return Load(**json.loads(printed))


if __name__ == "__main__":
    sys.exit(main())
