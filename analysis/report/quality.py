"""What the reader of a comparison must know about its data: holes, rewritten steps, damage, versions that differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from analysis.runs import flaws, identity
from analysis.runs.flaw import Kind
from analysis.runs.flaws import SHOWN_STEPS, listed_steps
from analysis.runs.frames import RunRecord, Runs
from analysis.wording import counted_lines
from qae.files import numbers
from qae.files.json_lines import read_jsonl
from qae.run_directory import RunDirectory, RunStatus

_COMMIT_LETTERS = 10
# Where a step is trained again all numbers are the same but these.
_TIMES = ("time", "timing", "perf/")
# Of these a version that differs between runs can change numbers; of the others in provenance.json too, but less often.
_PACKAGES = ("verl", "torch", "vllm", "transformers", "numpy")


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


def check(runs: Runs) -> list[Finding]:
    """Everything found, in the order of `Kind`; files are looked into where runs have a directory."""
    found = [*_unfinished(runs.records), *_missing_steps(runs), *_arms_and_seeds(runs)]
    stored = [(record, RunDirectory(record.directory)) for record in runs.records if record.directory is not None]
    for record, directory in stored:
        found += _files(record, directory)
    found += _versions(stored)
    names = {record.id: _name(record) for record in runs.records}
    found += [Finding(flaw.kind, names.get(flaw.run, flaw.run), flaw.text) for flaw in flaws.of(runs)]
    # Notes on unreadable lines are repeated by the scan, which also counts bytes.
    notes = [note for note in runs.notes if not stored or "unreadable" not in note]
    found += [Finding(Kind.NOTE, "all runs", note) for note in notes]
    order = list(Kind)
    return sorted(found, key=lambda finding: order.index(finding.kind))


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
        present = np.unique(np.asarray(steps.get(record.id, []), dtype=np.int64))
        present = present[(present >= 1) & (present <= record.step)]
        absent = record.step - len(present)
        if absent and not _has_a_rhythm(present, record.step):
            text = f"{absent} of steps 1 to {record.step} have no metrics: {listed_steps(_gaps(present, record.step))}."
            found.append(Finding(Kind.MISSING_STEPS, _name(record), text))
    return found


def _has_a_rhythm(present: npt.NDArray[np.int64], last: int) -> bool:
    """Whether a run logs every so many steps and has left none of these out."""
    apart = np.unique(np.diff(present))
    return len(present) > 2 and len(apart) == 1 and bool(present[0] <= apart[0] and last - present[-1] < apart[0])


def _gaps(present: npt.NDArray[np.int64], last: int) -> list[int]:
    """The first missing steps, as many as are shown and one more; the last step may be a count of tokens."""
    there, at = set(present.tolist()), 1
    found: list[int] = []
    while at <= last and len(found) <= SHOWN_STEPS:
        found += [] if at in there else [at]
        at += 1
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
        file = read_jsonl(path)
        by_key: dict[str, list[Mapping[str, object]]] = {}
        for line in file.records:
            by_key.setdefault(repr([line.get(key) for key in keys]), []).append(line)
        repeated = len(file.records) - len(by_key)
        if repeated:
            text = f"{path.name}: {repeated} lines were written again by a continued run; the last of each counts."
            if others := sum(_differ(lines) for lines in by_key.values()):
                text += f" In {others} of them numbers other than times differ."
            found.append(Finding(Kind.SUPERSEDED, _name(record), text))
        if file.damaged:
            lines = "1 line" if file.damaged == 1 else f"{file.damaged} lines"
            text = f"{path.name}: {lines} ({file.damaged_bytes} bytes) could not be read and are not in the numbers."
            found.append(Finding(Kind.UNREADABLE, _name(record), text))
        unusable = [line.get("step") for line in file.records if numbers.step(line.get("step")) is None]
        if unusable:
            text = f"{path.name}: {counted_lines(len(unusable))} left out: {flaws.shown(unusable[0])} is no step."
            found.append(Finding(Kind.STEPS, _name(record), text))
    return found


def _differ(lines: Sequence[Mapping[str, object]]) -> bool:
    """Whether lines for the same step have different numbers, times apart."""
    return len({repr(sorted((k, v) for k, v in line.items() if not k.startswith(_TIMES))) for line in lines}) > 1


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
    where = f"{record.status.shown} at step {record.step}{_of(record.total_steps)}"
    return f"{where}: {record.reason.rstrip('.')}." if record.reason else f"{where}."


def _of(total: int) -> str:
    return f" of {total}" if total else ""
