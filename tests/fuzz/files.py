"""Targets of damaged files: run directories, checkpoints, W&B's offline files, verl's logs, guard decisions."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from click.testing import CliRunner
from hypothesis import strategies as st

from analysis import sources
from analysis.sources import SourceError
from qae.embedded import checkpoint
from qae.run_directory import RunStatus
from qae.tabular.config import TabularConfig
from qae.tabular.policy import TabularPolicy
from sweeps.cli import main
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import ManifestRun, RunStore
from sweeps.worker.attempt import run_job
from tests.analysis.wandb.recorder import record
from tests.fuzz.damage import Damaged, damaged
from tests.fuzz.target import Judge
from tests.support.configs import QUICK, embedded_mapping

_GUARDED = ("guard.explosion.ratio=.01", "guard.explosion.action=tag", "guard.explosion.steps=2")
_COMMANDS = (
    ("status", "s", "--root"), ("table", "s", "--root"), ("export", "s", "--out", "-", "--root"), ("audit",),
    ("guard", "replay", "s", "--root"), ("advise", "s", "--root"), ("table",),
)  # fmt: skip
_SENTENCES = (0, 1, 2)  # exit statuses that a command ends with by itself
Numbers = set[tuple[object, ...]]


@contextmanager
def run_directories(folder: Path) -> Iterator[Judge]:
    """Any file of a store comes to harm: commands end in sentences, and no number appears that was not there."""
    root = folder / "runs"
    store = RunStore(root)
    runs = []
    for seed in (0, 1):
        config = embedded_mapping(*QUICK, *_GUARDED, "tracking.backend=none", f"seed={seed}", groups=["guard=entropy"])
        runs.append(store.create(run_id(config), config))
    store.record_sweep("s", ["sweep.py"], [ManifestRun(run.run_id, (f"seed={i}",)) for i, run in enumerate(runs)])
    for run in runs:
        assert run_job(run, "s", []) is RunStatus.DONE
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix not in (".pt", ".log")]
    assert runs[0].guard in files
    truth = _numbers(root)

    def judge(data: st.DataObject) -> str:
        path = data.draw(st.sampled_from(files), "file")
        harm = _draw_harm(data, path)
        with _harmed(path, harm):
            return _through_commands(data, root) if data.draw(st.booleans()) else _through_loader(root, harm, truth)

    yield judge


@contextmanager
def wandb_files(folder: Path) -> Iterator[Judge]:
    """W&B's files carry checksums: whatever a disk does to them, no number appears that was not logged."""
    run = folder / "aaaa"
    record(run, 1, 12, size=4)
    (path,) = run.glob("wandb/*run-*/*.wandb")
    truth = _numbers(path)

    def judge(data: st.DataObject) -> str:
        harm = _draw_harm(data, path)
        with _harmed(path, harm):
            return _through_loader(path, replace(harm, loses=True), truth)

    yield judge


@contextmanager
def verl_files(folder: Path) -> Iterator[Judge]:
    """Lines of verl's file logger."""
    from qae import metrics
    from tests.analysis.stores import step_line

    path = folder / "verl.jsonl"
    lines = [{"step": step, "data": step_line(step, 1, 0.4) | {metrics.GLOBAL_STEP.name: step}} for step in range(1, 9)]
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    truth = _numbers(path)

    def judge(data: st.DataObject) -> str:
        harm = _draw_harm(data, path)
        with _harmed(path, harm):
            return _through_loader(path, harm, truth)

    yield judge


@contextmanager
def checkpoints(folder: Path) -> Iterator[Judge]:
    """A checkpoint comes to harm: the policy is the one that was saved, or that of the checkpoint before."""
    config = embedded_mapping(*QUICK, "tracking.backend=none")
    run = RunStore(folder / "runs").create(run_id(config), config)
    assert run_job(run, "s", []) is RunStatus.DONE
    saved = {int(path.stem.rpartition("-")[2]): checkpoint.read(path) for path in run.checkpoints.iterdir()}
    before, last = sorted(saved)
    newest = run.checkpoints / f"step-{last:06d}.pt"
    policy = TabularPolicy(TabularConfig.from_mapping(config))

    def judge(data: st.DataObject) -> str:
        harm = _draw_harm(data, newest)
        with _harmed(newest, harm):
            resumed = checkpoint.load_newest(run.checkpoints, policy)
        assert resumed.step in (before, last)
        for name, value in policy.state().items():
            assert _equal(value, saved[resumed.step][name]), f"{name} is not what was saved after step {resumed.step}"
        return "the newest" if resumed.step == last else "the one before"

    yield judge


def _draw_harm(data: st.DataObject, path: Path) -> Damaged:
    return data.draw(damaged(path.read_bytes()), path.name)


@contextmanager
def _harmed(path: Path, harm: Damaged) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(harm.content)
    try:
        yield
    finally:
        path.write_bytes(before)


def _through_commands(data: st.DataObject, root: Path) -> str:
    words = data.draw(st.sampled_from(_COMMANDS), "command")
    ended = CliRunner().invoke(main, [*words, str(root)])
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert ended.exit_code in _SENTENCES, ended.exit_code
    assert ended.exit_code != 2 or ended.stderr.startswith("Error: "), ended.stderr
    return f"{words[0]}: exit {ended.exit_code}"


def _through_loader(source: Path, harm: Damaged, truth: Numbers) -> str:
    try:
        found = _numbers(source)
    except SourceError:
        return "refused"
    if harm.loses:
        assert found <= truth, f"numbers that were not there: {sorted(map(str, found - truth))[:3]}"
    return "read whole" if found == truth else "read in part" if found < truth else "read as changed"


def _numbers(source: Path) -> Numbers:
    """Every number of a source, with what it belongs to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs = sources.load(source)
    frames = (runs.metrics.reset_index(drop=True), runs.evaluations.reset_index(drop=True))
    return {tuple(map(str, row)) for frame in frames for row in frame.itertuples(index=False)}


def _equal(left: object, right: object) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
            and left.keys() == right.keys()
            and all(_equal(left[key], right[key]) for key in left)
        )
    return left == right
