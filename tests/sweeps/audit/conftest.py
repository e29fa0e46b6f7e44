"""A store of real runs, and copies of it to damage."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qae.files.json_lines import read_jsonl
from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.cli import main
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import ManifestRun, RunStore
from sweeps.worker.attempt import run_job
from tests.support.configs import QUICK, embedded_mapping

STEPS = 6


@dataclass(frozen=True)
class Audited:
    """A copy of the store.

    Attributes:
        root: of the store.
        done: a run that nothing happened to.
        continued: a run that was killed after step 5, went on from step 4 and is done.
        interrupted: the same run of another seed, killed and not continued.
        planned: a run that was never started.
    """

    root: Path
    done: RunDirectory
    continued: RunDirectory
    interrupted: RunDirectory
    planned: RunDirectory

    def audit(self, *options: str) -> Result:
        """`qae audit` of the store."""
        return CliRunner().invoke(main, ["audit", str(self.root), *options])

    def findings(self, *options: str) -> list[dict[str, Any]]:
        """What it finds."""
        return [json.loads(line) for line in self.audit("--json", *options).stdout.splitlines()]

    def found(self) -> list[tuple[str, str, str]]:
        """Severity, kind and run of what it finds."""
        return [(each["severity"], each["kind"], each["run"]) for each in self.findings()]


def killed_after_step_5(directory: RunDirectory) -> None:
    """Take a run that is done to where a kill after its fifth step would have left it: its checkpoint is that of 4."""
    state = directory.read_state()
    for path in (directory.metrics, directory.evaluation, directory.tokens):
        kept = [line for line in path.read_bytes().splitlines(keepends=True) if json.loads(line)["step"] <= STEPS - 1]
        path.write_bytes(b"".join(kept))
    (directory.checkpoints / f"step-{STEPS:06d}.pt").unlink()
    values = {**vars(state), "status": RunStatus.RUNNING, "step": STEPS - 1}
    directory.write_state(RunState(**values))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    root = tmp_path_factory.mktemp("audited") / "runs"
    store = RunStore(root)
    runs = []
    for seed in range(4):
        settings = ("tracking.backend=none", "checkpoints.keep_best=pass_at_1", f"seed={seed}")
        config = embedded_mapping(*QUICK, *settings)
        runs.append(store.create(run_id(config), config))
    store.record_sweep("s", ["sweep.py"], [ManifestRun(run.run_id, (f"seed={i}",)) for i, run in enumerate(runs)])
    done, continued, interrupted, _ = runs
    for run in (done, continued, interrupted):
        assert run_job(run, "s", []) is RunStatus.DONE
    for run in (continued, interrupted):
        killed_after_step_5(run)
    assert run_job(continued, "s", []) is RunStatus.DONE
    assert len(read_jsonl(continued.metrics).records) == STEPS + 2  # with the start, and step 5 twice
    interrupted.write_state(RunState(**{**vars(interrupted.read_state()), "status": RunStatus.PREEMPTED}))
    return Audited(root, *runs)


@pytest.fixture
def audited(pristine: Audited, tmp_path: Path) -> Audited:
    root = tmp_path / "runs"
    shutil.copytree(pristine.root, root)
    runs = (pristine.done, pristine.continued, pristine.interrupted, pristine.planned)
    return Audited(root, *(RunDirectory(root / run.run_id) for run in runs))


def edit(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of a file."""
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
