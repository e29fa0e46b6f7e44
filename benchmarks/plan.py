"""Planning a sweep of 1,000 runs against a multirun by Hydra's own sweeper and launcher over the same configuration.

Ours is the whole command, `python sweep.py -m … sweep.dry_run=true`: every run is composed, checked, identified and
shown. Hydra's is an application that does nothing, so its time is that of composing jobs and starting them. It is
measured on fewer jobs, with the start of the program taken off, and extrapolated.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import record
from benchmarks.record import Record
from sweeps.composition.tree import TREE

ROOT = Path(__file__).parents[1]
_APP = f"""
import hydra
@hydra.main(version_base="1.3", config_path={str(TREE)!r}, config_name="config")
def app(config): pass
app()
"""
_BASIC = ("hydra/launcher=basic", "hydra/sweeper=basic")
_K = (-1, 0.2, 0.4, 0.6, 0.8)


def main() -> None:
    """Print seconds and ratios for the embedded model and one of verl's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs of the plan (a multiple of 5)")
    parser.add_argument("--hydra-jobs", type=int, default=50, help="jobs of Hydra's multirun (a multiple of 5)")
    parser.add_argument("--repetitions", type=int, default=3, help="warm ones, after a cold start")
    options = parser.parse_args()
    for model in ("tiny", "qwen3-8b-base"):
        cold = [_timed(model, options.runs, options.hydra_jobs, cold=True)]
        warm = [_timed(model, options.runs, options.hydra_jobs, cold=False) for _ in range(options.repetitions)]
        record.write(_record(model, options.runs, *case) for case in (("cold", cold), ("warm", warm)))


def _timed(model: str, runs: int, hydra_jobs: int, *, cold: bool) -> tuple[float, float]:
    """Seconds of ours and of Hydra's for as many; cold: no bytecode and no cache of ours is there yet."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        fresh = {name: str(place / name) for name in ("PYTHONPYCACHEPREFIX", "QAE_CACHE")} if cold else {}
        ours = _ours(model, runs, place, fresh)
        fresh = {name: f"{value}-hydra" for name, value in fresh.items()}
        start = _hydras(model, 5, place, fresh)
        few = _hydras(model, 5, place, {}) if cold else start
        each = (_hydras(model, 5 + hydra_jobs, place, {}) - few) / hydra_jobs
    whole = start + each * (runs - 5)
    print(
        f"{model}, {'cold' if cold else 'warm'}: {runs} runs planned in {ours:.1f} s; "
        f"Hydra alone {1000 * each:.0f} ms a job, about {whole:.0f} s for as many: {whole / ours:.0f}x",
        flush=True,
    )
    return ours, whole


def _record(model: str, runs: int, name: str, seconds: list[tuple[float, float]]) -> Record:
    return Record(
        name=f"planning {runs:,} runs of {model}, {name}",
        ours=statistics.median(ours for ours, _ in seconds),
        unit="s",
        against="Hydra's own multirun",
        theirs=statistics.median(theirs for _, theirs in seconds),
        ratios=tuple(theirs / ours for ours, theirs in seconds),
        note="Hydra's scaled from fewer jobs",
    )


def _ours(model: str, runs: int, folder: Path, variables: Mapping[str, str]) -> float:
    more = ("sweep.dry_run=true", "tracking=none", f"sweep.root={folder / 'runs'}")
    return _seconds([str(ROOT / "sweep.py"), "-m", *_sweep(model, runs), *more], folder, variables)


def _hydras(model: str, jobs: int, folder: Path, variables: Mapping[str, str]) -> float:
    app = folder / "app.py"
    app.write_text(_APP)
    return _seconds([str(app), "-m", *_BASIC, *_sweep(model, jobs)], folder, variables)


def _sweep(model: str, runs: int) -> list[str]:
    seeds = ",".join(map(str, range(runs // len(_K))))
    return [f"model={model}", f"seed={seeds}", f"algorithm.quantile_k={','.join(map(str, _K))}"]


def _seconds(arguments: list[str], folder: Path, variables: Mapping[str, str]) -> float:
    begin, environment = time.perf_counter(), {**os.environ, **variables}
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
