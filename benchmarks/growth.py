"""How the time of a command grows with the number of runs: processor's seconds at 10, 100, 1,000 and 10,000 runs.

A store of done runs (five arms, twenty steps, three evaluations of six problems) is written, and each command runs in a
process of its own. Processor's seconds of the process and its children are counted, as other work on the cores changes
them least. The exponent is the slope of log seconds over log runs, by least squares over the sizes from 100 on. The
seconds of the smallest size, the start of the program, are taken off. ``python -m benchmarks.growth [--most 1000]``
"""

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sweeps.run_store.identity import run_id
from tests.analysis.stores import config, write_configured, write_manifest

ROOT = Path(__file__).parents[1]
SIZES = (10, 100, 1000, 10_000)
STEPS = 20
_K = (-1, 0.2, 0.4, 0.6, 0.8)
_LOAD = "import sys; from analysis import sources; assert len(sources.load(sys.argv[1]).records) == int(sys.argv[2])"


def main() -> None:
    """Print seconds and exponents in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest number of runs")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size <= options.most]
    seconds = {size: measured(size) for size in sizes}
    print(f"| processor's seconds for | {' | '.join(f'{size:,} runs' for size in sizes)} | exponent |")
    print(f"|---|{'--:|' * (len(sizes) + 1)}")
    for name in seconds[sizes[0]]:
        row = [seconds[size][name] for size in sizes]
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} | {exponent(sizes, row):.2f} |")


def measured(size: int) -> Mapping[str, float]:
    """Each command's seconds on a store of so many runs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        write_store(root, size)
        seeds = ",".join(map(str, range(size // len(_K))))
        plan = ("-m", f"seed={seeds}", f"algorithm.quantile_k={','.join(map(str, _K))}", "sweep.dry_run=true")
        qae = ("-m", "sweeps.cli")
        commands: Mapping[str, Sequence[str]] = {
            "a plan (`sweep.py -m … sweep.dry_run=true`)": ("sweep.py", *plan, f"sweep.root={folder}/new"),
            "`qae status`": (*qae, "status", "all", "--root", str(root)),
            "loading": ("-c", _LOAD, str(root), str(size)),
            "`qae table`": (*qae, "table", "all", "--root", str(root)),
            "`qae audit`": (*qae, "audit", str(root)),
            "`qae report`": (*qae, "report", "all", "--root", str(root), "--out", f"{folder}/report.html"),
        }
        found = {}
        for name, command in commands.items():
            found[name] = processor_seconds(command)
            print(f"{size} runs, {name}: {found[name]:.2f}", file=sys.stderr, flush=True)
        return found


def write_store(root: Path, size: int) -> None:
    """Done runs of five arms, and a sweep ``all`` that lists them."""
    ids = []
    for seed in range(size // len(_K)):
        for k in _K:
            values = config({"algorithm.quantile_k": k, "seed": seed, "trainer.total_training_steps": STEPS})
            ids.append(run_id(values))
            write_configured(root, ids[-1], values, steps=STEPS, evaluate=(0, STEPS // 2, STEPS))
    write_manifest(root, "all", ids)


def processor_seconds(command: Sequence[str], cache: str | None = None) -> float:
    """Of a command of this Python in the checkout, its children's too; without a cache it gets an empty one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "QAE_CACHE": cache or tempfile.mkdtemp()}
    words = [sys.executable, *command]
    ended = subprocess.run(words, check=False, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603
    assert ended.returncode in (0, 1), command  # 1: the audit finds that nothing was trained here
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log sizes, without the start; not a number with fewer than three sizes."""
    grown = [(size, each - seconds[0]) for size, each in zip(sizes, seconds, strict=True) if each > seconds[0]]
    logs = np.log(np.array(grown))
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0]) if len(grown) > 1 else math.nan


if __name__ == "__main__":
    main()
