"""Submitting a sweep of 1,000 runs to Slurm: ours against hydra-submitit-launcher, in turn on the same local cluster.

Seconds run from the start of the command until squeue lists every job; jobs are held, so that none runs beside the
measurement. Ours composes the toolkit's configuration, checks and identifies each run and makes its directory.
hydra-submitit-launcher submits a function that does nothing, whose configuration is one key. It is measured on fewer
jobs, two sizes, and extrapolated by what each further job takes. The plug-in lives in an environment of its own.

Run ``make benchmark-submit`` as root on Debian; with ``--check`` it fails below the target.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import record
from benchmarks.record import Record

ROOT = Path(__file__).parents[1]
TARGET = 5.0
_LIMIT_SECONDS = 900.0
_LOOK_SECONDS = 0.25
_FEW, _MORE = 5, 55  # jobs of theirs
_APP = """
import hydra
from omegaconf import DictConfig
@hydra.main(version_base="1.3", config_path=None)
def app(config: DictConfig) -> None: pass
app()
"""


def main() -> int:
    """Print seconds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="a Python with hydra-submitit-launcher")
    parser.add_argument("--runs", type=int, default=1000, help="runs of ours")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--check", action="store_true", help=f"exit with 1 below {TARGET:g}x")
    options = parser.parse_args()
    ratios, seconds, scaled = [], [], []
    for _ in range(options.repetitions):
        with tempfile.TemporaryDirectory() as folder:
            ours = seconds_until_queued(_ours(options.runs, Path(folder)), options.runs, Path(folder))
            few, more = (
                seconds_until_queued(_theirs(options.python, count, Path(folder)), count, Path(folder))
                for count in (_FEW, _MORE)
            )
        each = (more - few) / (_MORE - _FEW)
        whole = few + each * (options.runs - _FEW)
        ratios.append(whole / ours)
        seconds.append(ours)
        scaled.append(whole)
        print(
            f"{options.runs} runs queued in {ours:.1f} s; hydra-submitit-launcher {_FEW} in {few:.1f} s, {_MORE} in "
            f"{more:.1f} s, {1000 * each:.0f} ms a job, about {whole:.0f} s for as many: {ratios[-1]:.1f}x",
            flush=True,
        )
    median = statistics.median(ratios)
    print(f"ratio {median:.1f}x ({min(ratios):.1f} to {max(ratios):.1f}; target {TARGET:g}x)")
    record.write(
        [
            Record(
                name=f"submitting {options.runs:,} runs to a local Slurm",
                ours=statistics.median(seconds),
                unit="s",
                against="hydra-submitit-launcher",
                theirs=statistics.median(scaled),
                ratios=tuple(ratios),
                goal=TARGET,
                note=f"theirs scaled from {_MORE} jobs",
            )
        ]
    )
    return int(options.check and median < TARGET)


def seconds_until_queued(command: Sequence[str], jobs: int, folder: Path) -> float:
    """Seconds from the start of a command until its jobs are in the queue, which is emptied again."""
    started = time.perf_counter()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)  # noqa: S603
        try:
            while queued() < jobs:
                ended = process.poll() is not None and queued() < jobs
                if ended or time.perf_counter() - started > _LIMIT_SECONDS:
                    raise RuntimeError(f"{' '.join(command)}\n{(folder / 'output').read_text()[-3000:]}")
                time.sleep(_LOOK_SECONDS)
            return time.perf_counter() - started
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            subprocess.run(["scancel", "--user", str(os.getuid())], check=True)  # noqa: S603, S607
            while queued():
                time.sleep(_LOOK_SECONDS)


def queued() -> int:
    """Jobs in the queue, each element of an array counted."""
    listed = subprocess.run(["squeue", "--noheader", "--array"], check=True, capture_output=True, text=True)  # noqa: S607
    return len(listed.stdout.splitlines())


def _ours(runs: int, folder: Path) -> list[str]:
    settings = ("hydra/launcher=slurm", "site=local", "+slurm.options.hold=true", "sweep.wait=false", "tracking=none")
    sweep = ("sweep.parts=[]", f"seed=range({runs})", f"sweep.root={folder / 'runs'}", "trainer.total_training_steps=2")
    return [sys.executable, str(ROOT / "sweep.py"), "-m", *settings, *sweep]


def _theirs(python: Path, jobs: int, folder: Path) -> list[str]:
    app = folder / "app.py"
    app.write_text(_APP)
    launcher = ("hydra/launcher=submitit_slurm", "+hydra.launcher.additional_parameters={hold: true}")
    return [str(python.absolute()), str(app), "-m", *launcher, f"+seed=range({jobs})"]


if __name__ == "__main__":
    sys.exit(main())
