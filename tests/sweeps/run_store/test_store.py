"""Run directories and manifests on disk."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from qae.errors import ConfigError
from qae.files.json_lines import read_jsonl
from qae.run_directory import (
    JsonlWriter,
    RunDirectory,
    read_evaluations,
    read_metrics,
)
from sweeps.run_store.store import ManifestRun, RunStore, axes, label


def test_of_lines_for_the_same_step_the_last_one_counts(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with JsonlWriter(directory.metrics) as lines:
        for step, value in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 2.5), (3, 3.5)):
            lines.append({"step": step, "x": value})
    assert [(r["step"], r["x"]) for r in read_metrics(directory).records] == [(1, 1.0), (2, 2.5), (3, 3.5)]
    with JsonlWriter(directory.evaluation) as lines:
        for c in (3, 4):
            lines.append({"step": 1, "data_set": "a", "problem": "p", "n": 8, "c": c})
    assert [r["c"] for r in read_evaluations(directory).records] == [4]


def test_lines_that_a_resumed_run_left_behind_do_not_count(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with JsonlWriter(directory.metrics) as lines, JsonlWriter(directory.evaluation) as counts:
        for step, value in ((1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (2, 2.0)):
            lines.append({"step": step, "x": value})
            counts.append({"step": step, "data_set": "a", "problem": "p", "n": 8, "c": int(value)})
    assert [(r["step"], r["x"]) for r in read_metrics(directory).records] == [(1, 1.0), (2, 2.0)]
    assert [(r["step"], r["c"]) for r in read_evaluations(directory).records] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("torn", [b'{"step": 3', b"\x00" * 100, b"{" + b"x" * 200_000])
def test_a_torn_tail_is_counted_when_read_and_cut_when_written(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "m.jsonl"
    whole = b'{"step": 1}\n{"step": 2}\n'
    path.write_bytes(whole + torn)
    assert (len(read_jsonl(path).records), read_jsonl(path).damaged) == (2, 1)
    with JsonlWriter(path) as lines:
        lines.append({"step": 3})
    assert path.read_bytes() == whole + b'{"step":3}\n'


def test_damage_in_the_middle_loses_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n\x00\x00\x00\n[1]\n{"step": 2}\n')
    lines = read_jsonl(path)
    assert [line["step"] for line in lines.records] == [1, 2]
    assert lines.damaged == 2
    assert read_jsonl(tmp_path / "none.jsonl").records == []


def test_a_reader_never_sees_half_a_state_while_it_is_rewritten(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qae.run_directory import *\n"
        "d = RunDirectory(Path(sys.argv[1]))\n"
        "for i in range(10**9): d.write_state(RunState(step=i, reason='x' * (i % 5000)))"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    directory = RunDirectory(tmp_path)
    try:
        while not directory.state.exists():
            time.sleep(0.01)
        steps = [directory.read_state().step for _ in range(500)]
    finally:
        writer.kill()
        writer.wait()
    assert steps == sorted(steps)
    assert directory.read_state().step >= steps[-1]


def test_an_unreadable_state_is_said_in_a_sentence(tmp_path: Path) -> None:
    odd = (b'"colour": 1', b'"total_steps": null', b'"step": "3"', b'"reasons": {"crash": "x"}', b'"started": []')
    for content in (b"{", b"{}", b'{"status": "odd"}', *(b'{"status": "done", %s}' % one for one in odd)):
        (tmp_path / "state.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"state\.json is not a run state"):
            RunDirectory(tmp_path).read_state()


def test_manifests_keep_what_was_launched_under_the_same_name(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.record_sweep("s", ["a"], [ManifestRun("1", ("seed=0",)), ManifestRun("2", ("seed=1",))])
    manifest = store.record_sweep("s", ["b"], [ManifestRun("2", ("seed=1",)), ManifestRun("3", ("k=0.4", "seed=2"))])
    assert store.manifest("s") == manifest
    assert [run.id for run in manifest.runs] == ["1", "2", "3"]
    assert manifest.command == ("b",)
    assert manifest.axes == {"seed": ("0", "1", "2"), "k": ("", "0.4")}
    assert manifest.label(manifest.runs[2]) == "k=0.4 seed=2"
    assert store.sweeps() == ["s"]


def test_a_fork_that_is_being_made_is_no_run_yet(tmp_path: Path) -> None:
    for name in ("0123456789ab", ".fork-k2j"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("seed: 0\n")
    assert [run.run_id for run in RunStore(tmp_path).runs()] == ["0123456789ab"]


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", None])
def test_a_sweep_name_must_be_a_file_name(tmp_path: Path, name: object) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.name"):
        RunStore(tmp_path).record_sweep(name, [], [])  # type: ignore[arg-type]


def test_labels_show_what_varies_without_prefixes() -> None:
    overrides = [("a.b.lr=1", "seed=0", "x=1"), ("++a.b.lr=2", "seed=0", "x=1")]
    varying = axes(overrides)
    assert varying == {"a.b.lr": ("1", "2")}
    assert [label(o, varying) for o in overrides] == ["lr=1", "lr=2"]
    assert label(("a.seed=3",), {}) == "seed=3"
    assert label((), {}) == "defaults"
