"""Run as a process: a run that writes its directory and W&B's files as the job does, and may be killed in the middle.

python -m tests.analysis.wandb.recorder RUN_DIRECTORY FIRST LAST [--mode offline] [--kill] [--size 60]
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from qae.run_directory import JsonlWriter, RunDirectory, RunState, RunStatus
from tests import ROOT
from tests.analysis.stores import config, step_line

PROJECT = "recorded"
_BLOCK_BYTES = 32 * 1024  # of the format, which is LevelDB's log


def record(
    run: Path,
    first: int,
    last: int,
    *,
    kill: bool = False,
    size: int = 60,
    mode: str = "offline",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Record steps in a process of its own; a killed one leaves no end."""
    command = [sys.executable, "-m", "tests.analysis.wandb.recorder", str(run), str(first), str(last)]
    command += ["--mode", mode, "--size", str(size), *(["--kill"] if kill else [])]
    # A client in this process leaves the address of its service here; the run would be kept there when it is killed.
    inherited = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == (-signal.SIGKILL if kill else 0), ended.stderr
    if kill:
        for path in run.glob("wandb/*run-*/*.wandb"):
            _lose_last_block(path)


def _lose_last_block(path: Path) -> None:
    """What a kill loses: W&B's service writes whole blocks, and may have been quick enough to write the last too."""
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // _BLOCK_BYTES * _BLOCK_BYTES)


def row(step: int, size: int) -> dict[str, float]:
    """What a step logs: what the embedded trainer does, and `size` more."""
    more = {f"more/{index}": step + index / 128 for index in range(size)}
    return {"training/global_step": step, **step_line(step, 1, 0.4), **more}


def kill_with_children() -> None:
    """End this process as a lost node does: W&B's service, its child, goes first, or it may still write all it has."""
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Record."""
    from sweeps.worker import tracking

    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--mode", default="offline")
    parser.add_argument("--size", type=int, default=60)
    parser.add_argument("--kill", action="store_true")
    arguments = parser.parse_args()
    directory = RunDirectory(arguments.run)
    values = config({"algorithm.quantile_k": 0.4, "seed": 1})
    values["tracking"] = {"backend": "wandb", "mode": arguments.mode, "project": PROJECT, "entity": None}
    directory.path.mkdir(parents=True, exist_ok=True)
    from omegaconf import OmegaConf

    OmegaConf.save(OmegaConf.create(values), directory.config)
    tracker = tracking.start(values, directory, "swept")
    with JsonlWriter(directory.metrics) as lines:
        for step in range(arguments.first, arguments.last + 1):
            numbers = row(step, arguments.size)
            lines.append(numbers)
            tracker.log(step, {name: value for name, value in numbers.items() if name not in ("step", "time")})
    # The heartbeat is old: a run that was killed or has ended, not one that is running.
    status = RunStatus.RUNNING if arguments.kill else RunStatus.DONE
    directory.write_state(RunState(status, step=arguments.last, total_steps=arguments.last, heartbeat=0.0))
    if arguments.kill:
        time.sleep(0.3)
        kill_with_children()
    tracker.finish(failed=False)


if __name__ == "__main__":
    main()
