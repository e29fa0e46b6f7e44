"""A soak: many short runs on a local Slurm under random faults, followed to their end and audited (``make soak``).

python -m tests.slurm.soak --runs 200 --minutes 15 --seed 0
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from qae.run_directory import RunDirectory
from sweeps.run_store.store import RunStore
from tests import ROOT
from tests.slurm import matrix
from tests.slurm.conftest import Cluster, local_cluster, obstacle
from tests.slurm.matrix import Row
from tests.slurm.soak_world import FAULTS, MissedError, Sweep, World, small_disk
from tests.support.configs import LONG_STEPS, TINY_QUICK

_PLACE = ("site=local", "resources.memory=1G", "resources.walltime=1:00:00", "sweep.parts=[]")
_LAUNCHES = 8  # of a sweep, once the faults are over
_SETTLE_SECONDS = 3600.0
_LOOK_SECONDS = 0.5
_WORKER = "import sys; from sweeps.worker.job import run_in_worker; run_in_worker(sys.argv[1], 'undisturbed', 0)"
_TRACKED_SHARE = 0.05  # of the runs: W&B's client takes longer to start than such a run to train

Log: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """A soak.

    Attributes:
        seed: of the faults.
        runs: how many.
        seconds: that faults go on for, at least; each kind hits once in any case.
        every: seconds between faults, on average.
        steps: of each run.
        sample: runs to compare with undisturbed ones.
        megabytes: of the store's disk.
    """

    seed: int = 0
    runs: int = 200
    seconds: float = 900.0
    every: float = 8.0
    steps: int = 60
    sample: int = 6
    megabytes: int = 512


@dataclass(frozen=True)
class Result:
    """What came out.

    Attributes:
        faults: how often each kind hit.
        undone: ids of runs that never ended.
        attempts: of all runs.
        reasons: why attempts ended early.
        findings: of `qae audit`, one mapping each.
        rows: of the sample, each compared with an undisturbed run.
    """

    faults: Mapping[str, int]
    undone: Sequence[str]
    attempts: int
    reasons: Mapping[str, int]
    findings: Sequence[Mapping[str, str]]
    rows: Sequence[Row] = field(default_factory=tuple)

    @property
    def errors(self) -> list[str]:
        """Everything that should not be."""
        audited = [f"{each['run']}: {each['sentence']}" for each in self.findings if each["severity"] == "error"]
        unequal = [row.fault for row in self.rows if not row.equal or row.lost or row.doubled]
        return [*(f"{run} is not done" for run in self.undone), *audited, *(f"{run} differs" for run in unequal)]


def soak(cluster: Cluster, folder: Path, settings: Settings, log: Log) -> Result:
    """Launch, let faults happen, follow to the end, audit, compare.

    Args:
        cluster: that runs.
        folder: an empty one.
        settings: see there.
        log: takes a sentence for each thing that happens.
    """
    with small_disk(folder, settings.megabytes) as disk:
        world = World(cluster, folder, disk / "runs", _sweeps(settings), random.Random(settings.seed))
        world.clock.write_text("0")
        try:
            try:
                faults = _disturb(world, settings, log)
            finally:
                world.calm()
            _settle(world, log)
        finally:
            world.end()
        states = [run.read_state() for run in RunStore(world.root).runs()]
        reasons: Counter[str] = sum((Counter(state.reasons) for state in states), Counter())
        findings = _audit(world.root)
        rows = _compare(world, folder / "undisturbed", settings)
        return Result(faults, world.undone(), sum(state.attempt for state in states), reasons, findings, rows)


def _sweeps(settings: Settings) -> tuple[Sweep, ...]:
    tracked = max(1, round(_TRACKED_SHARE * settings.runs))
    tabular = (settings.runs - tracked + 1) // 2
    steps = f"trainer.total_training_steps={settings.steps}"
    parts = {
        "soak-tabular": (tabular, ("tracking=none", *LONG_STEPS)),
        "soak-transformer": (settings.runs - tracked - tabular, ("tracking=none", "model=tiny", *TINY_QUICK)),
        "soak-tracked": (tracked, ("tracking.mode=offline", "algorithm.quantile_k=0.4", *LONG_STEPS)),
    }
    return tuple(
        Sweep(
            name,
            (*_command(name, options), steps, f"seed={','.join(map(str, range(runs)))}", "hydra/launcher=slurm"),
            runs,
        )
        for name, (runs, options) in parts.items()
    )


def _command(name: str, options: Sequence[str]) -> tuple[str, ...]:
    own = [option for option in options if not option.startswith("trainer.total_training_steps")]
    return ("-m", f"sweep.name={name}", *_PLACE, *own)


def _disturb(world: World, settings: Settings, log: Log) -> Counter[str]:
    """Let faults happen, each kind once in a random order and then any; how often each has hit."""
    to_come = list(FAULTS)
    world.random.shuffle(to_come)
    hits: Counter[str] = Counter()
    began = time.monotonic()
    while to_come or time.monotonic() - began < settings.seconds:
        if not world.undone():
            log("all runs are done")
            break
        _tend(world)
        _wait(world, world.random.expovariate(1 / settings.every))
        kind = to_come.pop() if to_come else world.random.choice(list(FAULTS))
        try:
            sentence = FAULTS[kind](world)
        except MissedError:
            if not hits[kind]:
                to_come.insert(0, kind)
            continue
        hits[kind] += 1
        log(f"{kind}: {sentence}")
    return hits


def _wait(world: World, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        _tend(world)


def _tend(world: World) -> None:
    """Start launchers again that were killed or have ended, as somebody would."""
    for sweep in world.sweeps:
        if not sweep.is_followed() and not world.is_done(sweep):
            world.launch(sweep)


def _settle(world: World, log: Log) -> None:
    """The same commands until all runs are done, or each has been given so often that it never will be."""
    launches: Counter[str] = Counter()
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        ended = [sweep for sweep in world.sweeps if not sweep.is_followed()]
        undone = [sweep for sweep in ended if not world.is_done(sweep)]
        if len(ended) == len(world.sweeps) and not undone:
            break
        for sweep in undone:
            launches[sweep.name] += 1
            if launches[sweep.name] > _LAUNCHES:
                return
            log(f"{sweep.name} is launched again, {len(world.undone())} runs of the store are not done")
            world.launch(sweep, "sweep.retry=true")
        world.release_held()
        time.sleep(4 * _LOOK_SECONDS)


def _audit(root: Path) -> list[dict[str, str]]:
    """`qae audit` of the store."""
    command = [sys.executable, "-m", "sweeps.cli", "audit", str(root), "--json", "--checkpoints"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1) or "Traceback" in ended.stderr:
        raise RuntimeError(f"qae audit failed: {ended.stderr}")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def _compare(world: World, root: Path, settings: Settings) -> list[Row]:
    """The runs of each sweep that were interrupted most, against the same runs without a cluster and without faults."""
    store = RunStore(world.root)
    rows = []
    for sweep in world.sweeps:
        runs = [store.directory(run.id) for run in store.manifest(sweep.name).runs]
        share = max(1, settings.sample // len(world.sweeps))
        for run in sorted(runs, key=lambda run: -run.read_state().attempt)[:share]:
            undisturbed = RunDirectory(root / run.run_id)
            undisturbed.path.mkdir(parents=True)
            shutil.copy(run.config, undisturbed.config)
            subprocess.run([sys.executable, "-c", _WORKER, undisturbed.path], cwd=ROOT, check=True, capture_output=True)
            rows.append(matrix.compare(f"{sweep.name} {run.run_id}", run, undisturbed, 0.0))
    return rows


def told(result: Result, settings: Settings) -> list[str]:
    """A result in lines."""

    def listed(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"

    interrupted = sum(row.interruptions for row in result.rows)
    equal = sum(row.equal for row in result.rows)
    kinds = Counter(f"{each['severity']} ({each['kind']})" for each in result.findings)
    return [
        f"{settings.runs} runs of {settings.steps} steps, seed {settings.seed}: {result.attempts} attempts",
        f"faults: {sum(result.faults.values())}: {listed(result.faults)}",
        f"attempts that ended early: {listed(result.reasons)}",
        f"findings of qae audit: {listed(kinds)}",
        f"compared runs: {len(result.rows)}, interrupted {interrupted} times; equal bit for bit: {equal}",
        *(f"WRONG: {sentence}" for sentence in result.errors),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring a cluster up, soak, tell; 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description="Short runs on a local Slurm under random faults, then an audit.")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--runs", type=int, default=200, help="tabular and transformer")
    parser.add_argument("--minutes", type=float, default=15.0, help="that faults go on for")
    parser.add_argument("--every", type=float, default=8.0, help="seconds between faults, on average")
    given = parser.parse_args(arguments)
    if why := obstacle():
        parser.error(f"no Slurm to soak on: {why}")
    settings = Settings(given.seed, given.runs, 60 * given.minutes, given.every)
    began = time.monotonic()

    def log(sentence: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {sentence}\n")
        sys.stdout.flush()

    # As many jobs side by side as a machine of two cores can train.
    with local_cluster({"CPUS": "2"}) as cluster, tempfile.TemporaryDirectory(prefix="qae-soak-") as folder:
        result = soak(cluster, Path(folder), settings, log)
    sys.stdout.write("\n".join(told(result, settings)) + "\n")
    return int(bool(result.errors))


if __name__ == "__main__":
    sys.exit(main())
