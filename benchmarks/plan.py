"""Planning a sweep of 1,000 runs against a multirun by Hydra's own sweeper and launcher over the same configuration.

Ours is the whole command, `python sweep.py -m … sweep.dry_run=true`: every run is composed, checked, identified and
shown. Hydra's is an application that does nothing, so its time is that of composing jobs and starting them. It is
measured on fewer jobs, with the start of the program taken off, and extrapolated.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    options = parser.parse_args()
    for model in ("tiny", "qwen3-8b-base"):
        with tempfile.TemporaryDirectory() as folder:
            ours = _ours(model, options.runs, Path(folder))
            start = _hydras(model, 5, Path(folder))
            several = _hydras(model, 5 + options.hydra_jobs, Path(folder))
        each = (several - start) / options.hydra_jobs
        whole = start + each * (options.runs - 5)
        print(
            f"{model}: {options.runs} runs planned in {ours:.1f} s ({1000 * ours / options.runs:.1f} ms a run); "
            f"Hydra alone {1000 * each:.0f} ms a job, about {whole:.0f} s for as many: {whole / ours:.0f}x"
        )


def _ours(model: str, runs: int, folder: Path) -> float:
    more = ("sweep.dry_run=true", "tracking=none", f"sweep.root={folder / 'runs'}")
    return _seconds([str(ROOT / "sweep.py"), "-m", *_sweep(model, runs), *more], folder)


def _hydras(model: str, jobs: int, folder: Path) -> float:
    app = folder / "app.py"
    app.write_text(_APP)
    return _seconds([str(app), "-m", *_BASIC, *_sweep(model, jobs)], folder)


def _sweep(model: str, runs: int) -> list[str]:
    seeds = ",".join(map(str, range(runs // len(_K))))
    return [f"model={model}", f"seed={seeds}", f"algorithm.quantile_k={','.join(map(str, _K))}"]


def _seconds(arguments: list[str], folder: Path) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
