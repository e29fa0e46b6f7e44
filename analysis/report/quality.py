"""What the reader of a comparison must know about its data: holes, rewritten steps, damage, versions that differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import orjson

from analysis import identity
from analysis.runs import RunRecord, Runs
from qae.run_directory import RunDirectory, RunStatus

_SHOWN_STEPS = 6
_COMMIT_LETTERS = 10
# Of these a version that differs between runs can change numbers; of the others in provenance.json too, but less often.
_PACKAGES = ("verl", "torch", "vllm", "transformers", "numpy")


class Kind(StrEnum):
    """What can be wrong."""

    UNFINISHED = "unfinished"
    MISSING_STEPS = "missing steps"
    SUPERSEDED = "rewritten steps"
    UNREADABLE = "unreadable"
    DUPLICATE = "same computation twice"
    IDENTITY = "arms and seeds"
    VERSIONS = "versions differ"
    NOTE = "left out"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what.
        where: a run and its arm, or "all runs".
        text: a sentence.
    """

    kind: Kind
    where: str
    text: str


@dataclass(frozen=True)
class FileScan:
    """A JSONL file as it lies on disk.

    Attributes:
        records: its readable objects, superseded ones included.
        bad_lines, bad_bytes: what could not be read, a torn last line included.
    """

    records: tuple[Mapping[str, object], ...]
    bad_lines: int
    bad_bytes: int


def check(runs: Runs) -> list[Finding]:
    """Everything found, in the order of `Kind`; files are looked into where runs have a directory."""
    found = [*_unfinished(runs.records), *_missing_steps(runs), *_arms_and_seeds(runs)]
    stored = [(record, RunDirectory(record.directory)) for record in runs.records if record.directory is not None]
    for record, directory in stored:
        found += _files(record, directory)
    found += _versions(stored)
    # Notes on unreadable lines are repeated by the scan, which also counts bytes.
    notes = [note for note in runs.notes if not stored or "unreadable" not in note]
    found += [Finding(Kind.NOTE, "all runs", note) for note in notes]
    order = list(Kind)
    return sorted(found, key=lambda finding: order.index(finding.kind))


def scan(path: Path) -> FileScan:
    """Read a JSONL file line by line; a missing file is empty."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return FileScan((), 0, 0)
    records: list[Mapping[str, object]] = []
    bad_lines = bad_bytes = 0
    for line in raw.split(b"\n"):
        if not line:
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            bad_lines += 1
            bad_bytes += len(line)
    return FileScan(tuple(records), bad_lines, bad_bytes)


def _unfinished(records: Iterable[RunRecord]) -> list[Finding]:
    return [
        Finding(Kind.UNFINISHED, _name(record), _ended(record))
        for record in records
        if record.status is not RunStatus.DONE
    ]


def _missing_steps(runs: Runs) -> list[Finding]:
    steps = runs.metrics.groupby("run", observed=True)["step"].unique()
    found = []
    for record in runs.records:
        present = {int(step) for step in steps.get(record.id, [])}
        absent = sorted(set(range(1, record.step + 1)) - present)
        if absent:
            shown = ", ".join(map(str, absent[:_SHOWN_STEPS])) + (", …" if len(absent) > _SHOWN_STEPS else "")
            text = f"{len(absent)} of steps 1 to {record.step} have no metrics: {shown}."
            found.append(Finding(Kind.MISSING_STEPS, _name(record), text))
    return found


def _arms_and_seeds(runs: Runs) -> list[Finding]:
    records = {record.id: record for record in runs.records}
    twice = identity.duplicates(
        {run: record.arm for run, record in records.items()}, {run: record.seed for run, record in records.items()}
    )
    return [
        *(
            Finding(
                Kind.DUPLICATE,
                f"{records[group[0]].arm.shown}, seed {records[group[0]].seed}",
                f"Runs {', '.join(group)} have one configuration: counted as separate seeds, they make intervals too "
                "narrow.",
            )
            for group in twice
        ),
        *(Finding(Kind.IDENTITY, "all runs", note) for note in runs.arm_notes if note not in twice.values()),
    ]


def _files(record: RunRecord, directory: RunDirectory) -> list[Finding]:
    found = []
    for path, keys in (
        (directory.metrics, ("step",)),
        (directory.evaluation, ("step", "data_set", "problem")),
    ):
        file = scan(path)
        repeated = len(file.records) - len({tuple(line.get(key) for key in keys) for line in file.records})
        if repeated:
            text = f"{path.name}: {repeated} lines were written again by a continued run; the last of each counts."
            found.append(Finding(Kind.SUPERSEDED, _name(record), text))
        if file.bad_lines:
            lines = "1 line" if file.bad_lines == 1 else f"{file.bad_lines} lines"
            text = f"{path.name}: {lines} ({file.bad_bytes} bytes) could not be read and are not in the numbers."
            found.append(Finding(Kind.UNREADABLE, _name(record), text))
    return found


def _versions(stored: Iterable[tuple[RunRecord, RunDirectory]]) -> list[Finding]:
    attempts: dict[str, dict[str, set[str]]] = {}
    found = []
    for record, directory in stored:
        try:
            by_name = _read_versions(directory.provenance)
        except (OSError, ValueError, KeyError, TypeError):
            found.append(Finding(Kind.UNREADABLE, _name(record), "provenance.json: no record of the versions it ran."))
            continue
        for name, values in by_name.items():
            attempts.setdefault(name, {})[record.id] = values
    for name, by_run in attempts.items():
        seen: dict[str, list[str]] = {}
        for run_id, values in by_run.items():
            for value in values:
                seen.setdefault(value, []).append(run_id)
        if len(seen) > 1:
            text = "; ".join(f"{value} in {_run_list(ids)}" for value, ids in sorted(seen.items()))
            found.append(Finding(Kind.VERSIONS, "all runs", f"{name}: {text}."))
    return found


def _read_versions(path: Path) -> dict[str, set[str]]:
    """Values of each package and of the code over all attempts of a run."""
    values: dict[str, set[str]] = {}
    for attempt in orjson.loads(path.read_bytes())["attempts"]:
        for name in _PACKAGES:
            values.setdefault(name, set()).add(str(attempt["versions"].get(name, "not installed")))
        commit = str(attempt.get("commit") or "no commit")[:_COMMIT_LETTERS]
        diff = attempt.get("diff")
        changes = f" with changes {sha256(str(diff).encode()).hexdigest()[:6]}" if diff else ""
        values.setdefault("code", set()).add(commit + changes)
    return values


def _run_list(ids: Sequence[str]) -> str:
    return f"run {ids[0]}" if len(ids) == 1 else f"{len(ids)} runs ({ids[0]}, …)"


def _name(record: RunRecord) -> str:
    return f"{record.id} ({record.arm.shown}, seed {record.seed})"


def _ended(record: RunRecord) -> str:
    where = f"{record.status} at step {record.step}{_of(record.total_steps)}"
    return f"{where}: {record.reason.rstrip('.')}." if record.reason else f"{where}."


def _of(total: int) -> str:
    return f" of {total}" if total else ""
