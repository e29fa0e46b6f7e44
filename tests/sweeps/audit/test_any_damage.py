"""Whatever is in the files of a store, an audit is findings and no exception; without damage there are none."""

import shutil
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qae.run_directory import RunDirectory, RunState, RunStatus, write_atomic
from sweeps.audit.finding import Kind
from sweeps.audit.report import audit
from sweeps.run_store.store import RunStore
from tests.sweeps.audit.conftest import STEPS, Audited

FILES = (
    "config.yaml", "state.json", "metrics.jsonl", "evaluation.jsonl", "tokens.jsonl", "guard.jsonl", "lease.json",
    "provenance.json", "best_checkpoint/validation.json", f"checkpoints/step-{STEPS:06d}.pt", "../sweeps/s.json",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**60) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def victim(pristine: Audited, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    root = tmp_path_factory.mktemp("victim") / "runs"
    shutil.copytree(pristine.root, root)
    runs = (pristine.done, pristine.continued, pristine.interrupted, pristine.planned)
    return Audited(root, *(RunDirectory(root / run.run_id) for run in runs))


@st.composite
def damages(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's bytes with some cut off, changed, repeated or replaced by other JSON."""
    lines = content.splitlines(keepends=True)
    at = draw(st.integers(0, max(0, len(content) - 1)))
    which = draw(st.integers(0, max(0, len(lines) - 1)))
    ways = {
        "cut": content[:at],
        "changed": content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :],
        "repeated": b"".join([*lines, *lines[which:]]),
        "dropped": b"".join(lines[:which] + lines[which + 1 :]),
        "bytes": draw(st.binary(max_size=60)),
        "json": orjson.dumps(draw(JSON)),
    }
    if content.startswith(b"{"):
        record = orjson.loads(content if content.startswith(b"{\n") else lines[which])
        record[draw(st.sampled_from(sorted(record)))] = draw(JSON)
        ways["value"] = orjson.dumps(record) + b"\n"
    return ways[draw(st.sampled_from(sorted(ways)))]


@pytest.mark.slow
@settings(max_examples=120)
@given(data=st.data())
def test_no_damage_raises(victim: Audited, data: st.DataObject) -> None:
    path = victim.continued.path / data.draw(st.sampled_from(FILES), "file")
    before = path.read_bytes() if path.exists() else b""
    existed = path.exists()
    path.write_bytes(data.draw(damages(before), "damaged"))
    try:
        found = audit(victim.root, {}, checksums=True)
    finally:
        path.write_bytes(before) if existed else path.unlink()
    assert all(finding.sentence and finding.run is not None for finding in found.findings)
    assert sum(found.statuses.values()) == 4


@settings(max_examples=40)
@given(
    ends=st.lists(st.tuples(st.integers(0, STEPS), st.integers(1, 2)), max_size=4),
    torn=st.booleans(),
)
def test_an_undamaged_history_is_clean(
    victim: Audited, tmp_path_factory: pytest.TempPathFactory, ends: list[tuple[int, int]], torn: bool
) -> None:
    """Attempts that are killed after any step go on from a checkpoint before it, with the same numbers."""
    root = tmp_path_factory.mktemp("history")
    source = victim.done
    run = RunDirectory(root / source.run_id)
    run.path.mkdir()
    shutil.copy(source.config, run.config)
    lines = {name: (source.path / name).read_bytes().splitlines(keepends=True) for name in FILES[2:4]}
    written: dict[str, list[bytes]] = {name: [] for name in lines}
    step = -1  # the last one on disk
    for end, back in (*ends, (STEPS, 1)):
        first, step = max(0, step + 1 - back), max(step, end)
        for name, all_lines in lines.items():
            written[name] += [line for line in all_lines if first <= orjson.loads(line)["step"] <= step]
    for name, kept in written.items():
        write_atomic(run.path / name, b"".join(kept) + (b'{"step": 3, "x' if torn else b""))
    run.write_state(RunState(RunStatus.DONE, step=STEPS, total_steps=STEPS, attempt=len(ends) + 1))
    RunStore(root).record_sweep("s", [], [RunStore(victim.root).manifest("s").runs[0]])
    found = {finding.kind for finding in audit(root, {}).findings}
    assert found == ({Kind.TORN_LINE} if torn else set())


def test_a_file_that_is_a_folder_and_a_folder_that_is_a_file(victim: Audited, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(victim.root, root)
    for number, name in enumerate(("state.json", "metrics.jsonl", "lock", "checkpoints")):
        path = root / (victim.done, victim.continued, victim.interrupted, victim.planned)[number].run_id / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(b"") if name == "checkpoints" else path.mkdir()
    assert audit(root, {}, checksums=True).errors >= 2
