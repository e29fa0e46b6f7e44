"""Forks: a run that the guard ended goes on from an earlier checkpoint with another K, as a run of its own."""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from qae.config import AdvantageConfig
from qae.files import numbers
from qae.files.json_lines import read_jsonl
from qae.guard import decisions
from qae.nested import section
from qae.run_directory import JsonlWriter, Record, RunDirectory, RunState, RunStatus
from sweeps import trainers
from sweeps.run_store import configuration
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import ManifestRun, RunStore
from sweeps.worker import best

SECTION = "fork"
_K = "algorithm.quantile_k"


class NoForkError(RuntimeError):
    """The run cannot be forked; its text is one sentence."""


@dataclass(frozen=True)
class Fork:
    """Where a run goes on.

    Attributes:
        run_id: of the run that goes on.
        step: of the checkpoint that it starts from.
        k: its K.
    """

    run_id: str
    step: int
    k: float


def make(config: Mapping[str, object], directory: RunDirectory, before: int, k: float) -> Fork:
    """Make the directory of a fork, whole or not at all: configuration, newest good checkpoint, metrics up to there.

    Args:
        config: the parent's, resolved.
        directory: the parent's.
        before: first step of what the guard saw; the checkpoint lies before it.
        k: K of the fork.

    Raises:
        NoForkError: the parent is a fork itself, has this K, or has no checkpoint from before.
    """
    if SECTION in config:
        raise NoForkError("it is a fork itself")
    if _k_of(config) == k:
        raise NoForkError(f"its K is {k:g} already")
    step, checkpoint = _newest_checkpoint(config, directory, before)
    changed = config_of(config, directory.run_id, step, k)
    fork = RunDirectory(directory.path.parent / run_id(changed))
    if not fork.path.exists():
        with tempfile.TemporaryDirectory(prefix=".fork-", dir=directory.path.parent, ignore_cleanup_errors=True) as new:
            _fill(RunDirectory(Path(new)), changed, directory, step, checkpoint)
            Path(new).chmod(directory.path.stat().st_mode)  # a temporary folder is its owner's alone
            Path(new).rename(fork.path)
    return Fork(fork.run_id, step, k)


def config_of(config: Mapping[str, object], parent: str, step: int, k: float) -> dict[str, object]:
    """The configuration of a fork: its parent's with another K, and where it comes from, which counts in its id."""
    algorithm = section(config, "algorithm")
    origin = {"run": parent, "step": step, "parent_k": _k_of(config)}
    return {**config, "algorithm": {**algorithm, "quantile_k": k}, SECTION: origin}


def step_of(config: Mapping[str, object]) -> int:
    """The last step that a fork has from its parent; -1 where the run is none."""
    step = numbers.step(section(config, SECTION).get("step"))
    return -1 if step is None else step


def parent_of(config: Mapping[str, object]) -> str | None:
    """The id of the run that a fork comes from; None where the run is none."""
    parent = section(config, SECTION).get("run")
    return None if parent is None else str(parent)


def fork_of(directory: RunDirectory) -> Fork | None:
    """The run that goes on instead of one that the guard ended; None where none does."""
    decision = decisions.ending(decisions.read(directory))
    if decision is None or decision.fork is None or decision.fork_step is None or decision.fork_k is None:
        return None
    return Fork(decision.fork, decision.fork_step, decision.fork_k)


def last_of(directory: RunDirectory) -> RunDirectory:
    """The directory that goes on: the fork's where there is one, else the run's own."""
    fork = fork_of(directory)
    return directory if fork is None else RunDirectory(directory.path.parent / fork.run_id)


def enlist(directory: RunDirectory, fork: Fork, sweep: str) -> None:
    """Write the fork into the manifest of its parent's sweep, so that lists and tables of the sweep have it."""
    store = RunStore(directory.path.parent)
    with suppress(FileNotFoundError):
        manifest = store.manifest(sweep)
        parents = [run for run in manifest.runs if run.id == directory.run_id]
        if parents:
            run = ManifestRun(fork.run_id, overrides_of(parents[0].overrides, directory.run_id, fork))
            store.record_sweep(sweep, manifest.command, [run])


def overrides_of(overrides: tuple[str, ...], parent: str, fork: Fork) -> tuple[str, ...]:
    """What lists of runs show as the overrides of a fork."""
    kept = [override for override in overrides if override.lstrip("+").partition("=")[0] != _K]
    return (*kept, f"{_K}={fork.k:g}", f"{SECTION}.run={parent}")


def _k_of(config: Mapping[str, object]) -> float:
    return float(AdvantageConfig.from_mapping(section(config, "algorithm")).quantile_k)


def _newest_checkpoint(config: Mapping[str, object], directory: RunDirectory, before: int) -> tuple[int, Path]:
    complete = trainers.of(config).checkpoints(directory.checkpoints)
    steps = {step: path for step, path in complete.items() if step < before}
    if not steps:
        raise NoForkError(f"it has no checkpoint from before step {before} (trainer.save_freq)")
    return max(steps.items())


def _fill(fork: RunDirectory, config: Mapping[str, object], parent: RunDirectory, step: int, checkpoint: Path) -> None:
    own = {key: value for key, value in config.items() if key != "sweep"}
    fork.write_layout()
    fork.config.write_text(configuration.dumped(own))
    for source, target in (
        (parent.metrics, fork.metrics),
        (parent.evaluation, fork.evaluation),
        (parent.tokens, fork.tokens),
    ):
        lines = [line for line in read_jsonl(source).records if isinstance(at := line.get("step"), int) and at <= step]
        with JsonlWriter(target) as writer:
            writer.append(*cast("list[Record]", lines))  # what was read as JSON can be written as JSON
    fork.checkpoints.mkdir()
    try:
        best.copy(checkpoint, fork.checkpoints / checkpoint.name)
    except OSError as error:
        raise NoForkError(f"its checkpoint {checkpoint.name} cannot be copied ({error.strerror})") from error
    total = trainers.of(config).total_steps(config)
    fork.write_state(RunState(RunStatus.PLANNED, step=step, total_steps=total))
