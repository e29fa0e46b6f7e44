"""`qae audit` on runs that were trained: each kind of damage is found, named and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from qae.run_directory import JsonlWriter, RunDirectory, RunState, RunStatus, read_metrics
from qae.tracking.tracked_steps import Tracked
from sweeps.audit.evidence import Checkpoints, Evidence, gather
from sweeps.audit.finding import Kind, Severity
from sweeps.audit.lines import split
from sweeps.audit.run import check
from sweeps.run_store.identity import run_id
from sweeps.run_store.locking import exclusive
from sweeps.run_store.store import RunStore
from sweeps.worker.attempt import run_job
from tests import ROOT
from tests.support.configs import verl_mapping
from tests.sweeps.audit.conftest import STEPS, Audited, edit

OLD = 3600.0
OTHER_ID = "0123456789ab"


def old(path: Path) -> Path:
    """Make a file one that nobody has touched for an hour."""
    os.utime(path, (time.time() - OLD,) * 2)
    return path


def line_of(path: Path, step: int, change: Callable[[dict[str, object]], object]) -> None:
    """Change the first line of a step."""

    def changed(lines: list[bytes]) -> list[bytes]:
        at = next(i for i, line in enumerate(lines) if json.loads(line)["step"] == step)
        record = json.loads(lines[at])
        change(record)
        return [*lines[:at], json.dumps(record).encode() + b"\n", *lines[at + 1 :]]

    edit(path, changed)


def without_step(path: Path, step: int) -> None:
    edit(path, lambda lines: [line for line in lines if json.loads(line)["step"] != step])


def set_state(run: RunDirectory, **changes: object) -> None:
    run.write_state(replace(run.read_state(), **changes))  # type: ignore[arg-type]  # fields of a state


def test_runs_that_are_done_continued_interrupted_and_planned_are_clean(audited: Audited) -> None:
    ended = audited.audit("--checkpoints")
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "4 runs: 2 done, 1 interrupted, 1 never started. 0 errors, 0 warnings." in ended.stderr


def test_a_folder_that_is_no_store_is_a_mistake(tmp_path: Path, audited: Audited) -> None:
    ended = replace(audited, root=tmp_path / "nowhere").audit()
    assert ended.exit_code == 2
    assert "nowhere" in ended.stderr
    assert "sweep.root" in ended.stderr


def test_the_store_of_the_environment_is_audited_where_none_is_named(audited: Audited) -> None:
    audited.done.config.unlink()
    old(audited.done.path)
    command = [sys.executable, "-m", "sweeps.cli", "audit"]
    environment = {**os.environ, "QAE_RUNS": str(audited.root)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert audited.done.run_id in ended.stdout


def test_nothing_heavy_is_imported(audited: Audited) -> None:
    code = (
        "import sys; from sweeps.cli import main\n"
        "try:\n    main(['audit', sys.argv[1], '--checkpoints'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'verl', 'wandb', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(audited.root)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def _lose_step(run: RunDirectory) -> None:
    without_step(run.metrics, 3)


def _lose_last_step(run: RunDirectory) -> None:
    without_step(run.metrics, STEPS)
    without_step(run.evaluation, STEPS)
    (run.checkpoints / f"step-{STEPS:06d}.pt").unlink()


def _lose_stepless(run: RunDirectory) -> None:
    line_of(run.metrics, 3, lambda record: record.update(step="three"))


def _zero_line(run: RunDirectory) -> None:
    edit(run.tokens, lambda lines: [lines[0], b"\x00" * 40 + b"\n", *lines[1:]])


def _lose_evaluations(run: RunDirectory) -> None:
    without_step(run.evaluation, 4)


def _lose_all_evaluations(run: RunDirectory) -> None:
    run.evaluation.unlink()


def _lose_a_problem(run: RunDirectory) -> None:
    edit(run.evaluation, lambda lines: lines[:-1])


def _too_many_right(run: RunDirectory) -> None:
    line_of(run.evaluation, 2, lambda record: record.update(c=10**6))


def _state_ahead(run: RunDirectory) -> None:
    set_state(run, status=RunStatus.PREEMPTED, step=STEPS + 3)


def _done_too_early(run: RunDirectory) -> None:
    set_state(run, step=STEPS - 2)


def _unreadable_state(run: RunDirectory) -> None:
    run.state.write_bytes(b'{"status": "don')


def _no_state(run: RunDirectory) -> None:
    run.state.unlink()


def _other_config(run: RunDirectory) -> None:
    run.config.write_text(run.config.read_text().replace("\nseed: 0\n", "\nseed: 17\n"))


def _half_config(run: RunDirectory) -> None:
    run.config.write_text("algorithm: [")


def _config_without_method(run: RunDirectory) -> None:
    run.config.write_text("algorithm: {quantile_k: [1]}\nbackend: tabular\n")


def _checkpoint_cut(run: RunDirectory) -> None:
    path = run.checkpoints / f"step-{STEPS:06d}.pt"
    path.write_bytes(path.read_bytes()[:-100])


def _checkpoint_ahead(run: RunDirectory) -> None:
    shutil.copy(run.checkpoints / f"step-{STEPS:06d}.pt", run.checkpoints / f"step-{STEPS + 2:06d}.pt")


def _best_of_another_value(run: RunDirectory) -> None:
    record = run.best_checkpoint / "validation.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "value": 0.123}))


def _best_unreadable(run: RunDirectory) -> None:
    (run.best_checkpoint / "validation.json").write_text("[]")


def _best_without_checkpoint(run: RunDirectory) -> None:
    for path in run.best_checkpoint.glob("*.pt"):
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "kind", "named"),
    [
        (_lose_step, "missing steps", "step 3"),
        (_lose_last_step, "incomplete", f"ends at {STEPS - 1}"),
        (_done_too_early, "incomplete", f"step {STEPS - 2} of {STEPS}"),
        (_state_ahead, "incomplete", f"step {STEPS + 3}"),
        (_zero_line, "damaged line", "line 2 of tokens.jsonl"),
        (_lose_evaluations, "evaluation", "step 4"),
        (_lose_all_evaluations, "evaluation", "steps 0, 2, 4"),
        (_lose_a_problem, "evaluation", f"step {STEPS}"),
        (_unreadable_state, "state", "state.json"),
        (_no_state, "state", "state.json"),
        (_other_config, "identity", "config.yaml"),
        (_half_config, "config", "config.yaml"),
        (_config_without_method, "config", "config.yaml"),
        (_checkpoint_cut, "checkpoint", f"checkpoints/step-{STEPS:06d}.pt"),
        (_checkpoint_ahead, "checkpoint", f"step {STEPS + 2}"),
        (_best_of_another_value, "best checkpoint", "0.123"),
        (_best_unreadable, "best checkpoint", "validation.json"),
        (_best_without_checkpoint, "best checkpoint", "best_checkpoint"),
    ],
)
def test_what_is_lost_or_wrong_is_an_error(
    audited: Audited, damage: Callable[[RunDirectory], None], kind: str, named: str
) -> None:
    damage(audited.done)
    (finding,) = audited.findings()
    assert (finding["severity"], finding["kind"], finding["run"]) == ("error", kind, audited.done.run_id)
    assert named in finding["sentence"]
    assert finding["repair"] is None
    assert audited.audit().exit_code == 1


def test_a_line_without_a_step_and_impossible_counts_are_errors_with_what_follows_from_them(audited: Audited) -> None:
    _lose_stepless(audited.done)
    _too_many_right(audited.continued)
    assert {(kind, run) for _, kind, run in audited.found()} == {
        ("missing steps", audited.done.run_id),
        ("evaluation", audited.continued.run_id),
    }
    assert audited.audit().exit_code == 1


def test_a_step_that_was_computed_twice_with_two_results_is_an_error(audited: Audited) -> None:
    line_of(audited.continued.metrics, STEPS - 1, lambda record: record.update({"actor/entropy": 0.5}))
    (finding,) = audited.findings()
    assert (finding["severity"], finding["kind"]) == ("error", "doubled step")
    assert f"step {STEPS - 1}" in finding["sentence"]


def test_two_results_of_two_machines_are_a_warning(audited: Audited) -> None:
    line_of(audited.continued.metrics, STEPS - 1, lambda record: record.update({"actor/entropy": 0.5}))
    provenance = json.loads(audited.continued.provenance.read_text())
    provenance["attempts"][0]["host"] = "elsewhere"
    audited.continued.provenance.write_text(json.dumps(provenance))
    assert audited.found() == [("warning", "doubled step", audited.continued.run_id)]
    assert audited.audit().exit_code == 0


def test_a_bit_of_a_checkpoint_is_missed_without_the_option_and_found_with_it(audited: Audited) -> None:
    path = audited.done.checkpoints / f"step-{STEPS:06d}.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert audited.audit().exit_code == 0
    (finding,) = audited.findings("--checkpoints")
    assert (finding["severity"], finding["kind"]) == ("error", "checkpoint")
    assert path.name in finding["sentence"]


@pytest.mark.parametrize(
    ("checkpoints", "severity", "named"),
    [((2, 4, 6), "warning", "the one before"), ((6,), "error", "move that"), ((2, 6, 8), "error", "move that")],
)
def test_a_checkpoint_of_verl_that_a_kill_left_without_its_metrics_is_what_the_next_attempt_mends(
    checkpoints: tuple[int, ...], severity: str, named: str
) -> None:
    config = verl_mapping("model=qwen3-random-tiny")
    steps = b"".join(b'{"step": %d}\n' % step for step in range(6))
    evidence = Evidence(
        run=run_id(config),
        live=False,
        config=config,
        state=RunState(RunStatus.PREEMPTED, step=5, total_steps=20, attempt=1),
        metrics=split("metrics.jsonl", steps),
        evaluation=split("evaluation.jsonl", None),
        tokens=split("tokens.jsonl", None),
        guard=split("guard.jsonl", None),
        checkpoints=Checkpoints(checkpoints),
    )
    (finding,) = check(evidence)
    assert (finding.severity, finding.kind) == (severity, Kind.CHECKPOINT)
    assert named in finding.sentence


def test_a_torn_line_is_moved_aside_and_the_run_goes_on(audited: Audited) -> None:
    run = audited.interrupted
    whole = run.metrics.read_bytes()
    run.metrics.write_bytes(whole + b'{"step": 6, "ac')
    assert audited.found() == [("warning", "torn line", run.run_id)]
    ended = audited.audit("--repair")
    assert ended.exit_code == 0
    assert "metrics.jsonl" in ended.stdout.splitlines()[-1]
    assert run.metrics.read_bytes() == whole
    assert b'{"step": 6, "ac' in run.path.joinpath("metrics.jsonl.torn").read_bytes()
    assert audited.findings() == []
    assert run_job(run, "s", []) is RunStatus.DONE
    assert [line["step"] for line in read_metrics(run).records] == list(range(STEPS + 1))


def test_temporary_files_are_found_once_they_are_old_and_removed_on_request(audited: Audited) -> None:
    names = (".state.json.77.tmp", "checkpoints/.step-000006.pt.77.tmp")
    left = [audited.done.path / name for name in names]
    left += [audited.root / ".fork-abc" / "config.yaml", audited.root / "sweeps" / ".s.json.77.tmp"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert audited.findings() == []
    for path in (*left, left[2].parent):
        old(path)
    assert [severity for severity, kind, _ in audited.found() if kind == "temporary file"] == ["warning"] * 4
    assert audited.audit("--repair").exit_code == 0
    assert audited.findings() == []
    assert not any(path.exists() for path in left)


def test_a_run_left_running_is_a_warning_and_marked_on_request(audited: Audited) -> None:
    run = audited.interrupted
    set_state(run, status=RunStatus.RUNNING, pid=2**22 - 7, host="node9")
    (finding,) = audited.findings()
    assert (finding["severity"], finding["kind"]) == ("warning", "left running")
    assert "node9" in finding["sentence"]
    assert f"qae resume {run.run_id}" in finding["sentence"]
    audited.audit("--repair")
    state = run.read_state()
    assert (state.status, state.exit_reason, state.reasons) == (RunStatus.PREEMPTED, "killed", {"killed": 1})
    assert audited.findings() == []


def test_a_run_whose_lock_is_held_is_live_and_never_repaired(audited: Audited) -> None:
    run = audited.interrupted
    set_state(run, status=RunStatus.RUNNING)
    torn = run.metrics.read_bytes() + b'{"step"'
    run.metrics.write_bytes(torn)
    old(run.path / ".state.json.77.tmp" if (run.path / ".state.json.77.tmp").write_bytes(b"x") else run.path)
    with exclusive(run):
        ended = audited.audit("--repair")
        assert (ended.exit_code, ended.stdout) == (0, "")
        assert "1 running" in ended.stderr
    assert run.metrics.read_bytes() == torn
    assert len(audited.findings()) == 3


def test_what_a_live_run_has_lost_is_found(audited: Audited) -> None:
    without_step(audited.interrupted.metrics, 2)
    with exclusive(audited.interrupted):
        assert audited.found() == [("error", "missing steps", audited.interrupted.run_id)]


def test_runs_and_sweeps_that_do_not_fit_together(audited: Audited) -> None:
    shutil.rmtree(audited.done.path)
    (audited.root / "sweeps" / "half.json").write_text('{"name": "half"')
    assert audited.found() == [("error", "manifest", None), ("error", "no directory", audited.done.run_id)]
    (audited.root / "sweeps" / "half.json").unlink()
    (audited.root / "sweeps" / "s.json").unlink()
    old(audited.planned.config)
    runs = (audited.continued, audited.interrupted, audited.planned)
    assert audited.found() == [("warning", "orphan", run) for run in sorted(run.run_id for run in runs)]
    (audited.root / OTHER_ID).mkdir()
    old(audited.root / OTHER_ID)
    assert audited.found()[0] == ("error", "config", OTHER_ID)


def test_a_run_that_is_just_being_launched_is_no_orphan(audited: Audited) -> None:
    manifest = RunStore(audited.root).manifest("s")
    kept = [run for run in manifest.runs if run.id != audited.planned.run_id]
    (audited.root / "sweeps" / "s.json").unlink()
    RunStore(audited.root).record_sweep("s", manifest.command, kept)
    audited.planned.config.touch()
    (audited.root / OTHER_ID).mkdir()
    assert audited.findings() == []


@pytest.mark.slow
def test_a_store_that_changes_meanwhile_has_no_false_alarm(audited: Audited) -> None:
    """A writer that locks, appends and lets go as fast as it can, from the checkpoint on and again."""
    code = (
        "import sys, json; from pathlib import Path; from dataclasses import replace\n"
        "from qae.run_directory import *; from sweeps.run_store.locking import exclusive, leased\n"
        "d = RunDirectory(Path(sys.argv[1])); last = d.metrics.read_bytes().splitlines()[-1]; print('on', flush=True)\n"
        "while True:\n"
        "    with exclusive(d), leased(d):\n"
        "        s = replace(d.read_state(), status=RunStatus.RUNNING, attempt=d.read_state().attempt + 1)\n"
        "        d.write_state(s)\n"
        "        with JsonlWriter(d.metrics) as lines: lines.append(json.loads(last))\n"
        "        d.write_state(replace(s, status=RunStatus.PREEMPTED))\n"
    )
    command = [sys.executable, "-c", code, str(audited.interrupted.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "on\n"
        try:
            found = [audited.findings() for _ in range(30)]
        finally:
            writer.kill()
    assert found == [[]] * 30
    assert audited.interrupted.read_state().attempt > 5


def test_many_runs_are_audited_as_few_are(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose_step(audited.done)
    few = audited.findings()
    monkeypatch.setattr("sweeps.audit.report._MANY_RUNS", 1)
    assert audited.findings() == few


def test_of_many_places_the_first_are_named(audited: Audited) -> None:
    set_state(audited.done, status=RunStatus.PREEMPTED)
    with JsonlWriter(audited.done.metrics) as lines:
        lines.append(*({"step": step} for step in (8, 10, 12, 14, 15)))
    sentences: Sequence[str] = [finding["sentence"] for finding in audited.findings()]
    assert any("steps 7, 9, 11 and 1 more places" in sentence for sentence in sentences)


def test_wandb_may_end_early_but_not_late(audited: Audited) -> None:
    evidence = gather(audited.done)
    compared = {
        last: [(finding.severity, finding.kind) for finding in check(replace(evidence, tracked=Tracked(last, files=1)))]
        for last in (None, STEPS - 1, STEPS, STEPS + 1)
    }
    late, early = [(Severity.ERROR, Kind.TRACKING)], [(Severity.WARNING, Kind.TRACKING)]
    assert compared == {None: early, STEPS - 1: early, STEPS: [], STEPS + 1: late}
    odd = Tracked(None, files=1, unreadable=("run-x.wandb cannot be read",))
    assert [finding.severity for finding in check(replace(evidence, tracked=odd))] == [Severity.WARNING]


def test_files_of_wandb_are_read(audited: Audited) -> None:
    folder = audited.done.path / "wandb" / "offline-run-1-x"
    folder.mkdir(parents=True)
    (folder / "run-x.wandb").write_bytes(b"something else")
    (finding,) = audited.findings()
    assert (finding["severity"], finding["kind"]) == ("warning", "tracking")
    assert "qae sync" in finding["sentence"]
    assert "3 runs not compared with W&B" in audited.audit().stderr
