"""Runs from W&B's offline files: finished, killed, being written, damaged, or continued in several directories."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from analysis.runs.configuration import flatten
from analysis.runs.flaw import Flaw, Kind
from analysis.runs.frames import Runs
from analysis.runs.identity import own_seeds
from analysis.runs.naming import K, k_is_unreadable, k_of, rule_of
from analysis.sources import cache
from analysis.sources.assembly import LoadedRun, assemble
from analysis.sources.folders import Found, files_below
from analysis.sources.lost import Lost, flaws_from, flaws_to, kept_of
from analysis.sources.metric_names import mapped
from analysis.sources.tidy import continued, no_metrics
from analysis.sources.wandb.log import Gap, Log, NotALogError
from analysis.sources.wandb.order import in_order, left_behind, rewritten_steps
from analysis.sources.wandb.records import Description, HistoryColumns, described, is_history, kind_and_payload
from analysis.sources.wandb.segment import Segment
from qae.run_directory import RunStatus

_KIND = "wandb-files"
_SUFFIX = ".wandb"
_NO_END = "the writer was killed or is still writing"


def load(source: Path) -> Runs:
    """Read an offline file, or every one below a directory.

    Files of the same run are its continuations, in order of their start as the records say it
    (`analysis.sources.wandb.order`); a later one replaces what it trained again (`analysis.sources.tidy.continued`).
    Whatever cannot be read is left out and `Runs.notes` says how many bytes from where.
    """
    found = _found(source)
    return runs_of((read_segment(path) for path in sorted(found.paths)), found.notes)


def runs_of(segments: Iterable[Segment], notes_on_folders: Sequence[str] = ()) -> Runs:
    """Runs from segments in any order."""
    notes = list(notes_on_folders)
    read = []
    for segment in segments:
        notes += segment.notes
        read.append(segment)
    groups = [run for parts in _by_run(read).values() for run in _told_apart(parts)]
    ids = [parts[0].run_id for parts, _ in groups]
    loaded: list[LoadedRun] = []
    for (parts, flaws), name in zip(groups, _unique_names([parts[0] for parts, _ in groups], ids), strict=True):
        loaded.append(_loaded(name, parts, flaws, notes))
    return assemble(loaded, notes)


def _by_run(segments: Sequence[Segment]) -> dict[tuple[str, str, str], list[Segment]]:
    """Files of each run, which entity, project and id tell; a file without them belongs to its only namesake."""
    by_run: dict[tuple[str, str, str], list[Segment]] = {}
    nameless = []
    for segment in segments:
        about = segment.description
        if about.run_id:
            by_run.setdefault((about.entity, about.project, segment.run_id), []).append(segment)
        else:
            nameless.append(segment)
    for segment in nameless:
        same = [key for key in by_run if key[2] == segment.run_id]
        by_run.setdefault(same[0] if len(same) == 1 else ("", "", segment.run_id), []).append(segment)
    return by_run


def _told_apart(parts: Sequence[Segment]) -> list[tuple[list[Segment], list[Flaw]]]:
    """A run's files in order; files that start over with another K, rule or seed are another run with the same id."""
    ordered, flaws = in_order(parts)
    runs: list[list[Segment]] = []
    for part in ordered:
        home = next((run for run in reversed(runs) if _belongs(part, run)), None)
        if home is None:
            runs.append([part])
        else:
            home.append(part)
    if len(runs) == 1:
        return [(ordered, flaws)]
    text = (
        f"W&B's id {ordered[0].run_id} stands for {len(runs)} different runs: files start over with another K, rule or "
        "seed; each counts as a run of its own."
    )
    return [(run, [*in_order(run)[1], Flaw(Kind.ORDER, "", text, len(runs))]) for run in runs]


def _belongs(part: Segment, run: Sequence[Segment]) -> bool:
    if not part.description.config or not len(part.metrics) or _identity(part) == _identity(run[0]):
        return True
    firsts = [int(other.metrics["step"].min()) for other in run if len(other.metrics)]
    return bool(firsts) and int(part.metrics["step"].min()) > min(firsts)


def _identity(part: Segment) -> tuple[object, ...]:
    config = flatten(part.description.config)
    k = repr(config.get(K)) if k_is_unreadable(config) else k_of(config)
    return (rule_of(config), k, own_seeds(config))


def _unique_names(firsts: Sequence[Segment], ids: Sequence[str]) -> list[str]:
    """Run ids, with the project, the entity or a number in front or behind where several runs have one."""
    names = list(ids)
    for prefix in (lambda about: about.project, lambda about: f"{about.entity}/{about.project}"):
        names = [
            name if names.count(name) == 1 else f"{prefix(first.description)}/{first.run_id}"
            for name, first in zip(names, firsts, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[index] = name if seen[name] == 1 else f"{ids[index]}:{seen[name]}"
    return names


def offline_files(source: Path) -> list[Path]:
    """The offline files at or below a path, by their names; each once, whatever links lead to it."""
    return sorted(_found(source).paths)


def _found(source: Path) -> Found:
    return Found((source,), ()) if source.is_file() else files_below(source, _SUFFIX)


def read_segment(path: Path) -> Segment:
    """Read an offline file, from the cache if it has not changed since."""
    name = str(path.resolve())
    try:
        status = path.stat()
    except OSError as error:
        return Segment(path, Description(), no_metrics(), (f"{path} cannot be read ({error.strerror}).",))
    key = f"{status.st_size} {status.st_mtime_ns}"
    kept = cache.read(_KIND, name)
    if kept is not None and kept.key == key:
        return _from_cache(path, kept)
    try:
        content = path.read_bytes()
    except OSError as error:
        return Segment(path, Description(), no_metrics(), (f"{path} cannot be read ({error.strerror}).",))
    segment = parse(path, content)
    if len(content) == status.st_size:
        about: dict[str, object] = {
            "description": asdict(segment.description),
            "notes": list(segment.notes),
            **flaws_to(segment.lost, segment.flaws),
        }
        cache.write(_KIND, name, cache.Entry(key, about, segment.metrics))
    return segment


def parse(path: Path, content: bytes) -> Segment:
    """Read an offline file from its bytes.

    Args:
        path: its name, for notes and the run's id.
        content: all of it.
    """
    log = Log(content)
    description = Description()
    history = HistoryColumns()
    malformed = 0
    notes: list[str] = []
    try:
        for record in log.records():
            try:
                kind, payload = kind_and_payload(record)
                if is_history(kind):
                    history.add(payload)
                else:
                    description = described(description, kind, payload)
            except (ValueError, IndexError):
                malformed += 1
    except NotALogError as error:
        return Segment(path, description, no_metrics(), (f"{path} is left out: {error}.",))
    if log.gaps:
        notes.append(_gaps_note(path, log.gaps))
    elif description.exit_code is None:
        notes.append(f"{path}: its end is missing; {_NO_END}.")
    if malformed:
        notes.append(f"{path}: {malformed} records are whole but no messages of W&B; they are left out.")
    found = history.read()
    description = replace(description, first_logged=found.first_logged, last_logged=found.last_logged)
    return Segment(path, description, found.frame, tuple(notes), found.lost, found.flaws)


def _gaps_note(path: Path, gaps: Sequence[Gap]) -> str:
    shown = ", ".join(map(str, gaps[:3])) + (f" and {len(gaps) - 3} more places" if len(gaps) > 3 else "")
    if len(gaps) == 1 and gaps[0].at_end:
        return f"{path}: {shown}; {_NO_END}."
    return f"{path}: {shown}; all other records were read."


def _from_cache(path: Path, entry: cache.Entry) -> Segment:
    about = entry.description
    description = Description(**{**about["description"], "tags": tuple(about["description"]["tags"])})
    return Segment(path, description, entry.metrics, tuple(about["notes"]), *flaws_from(about))


def _loaded(run_id: str, parts: Sequence[Segment], flaws: Sequence[Flaw], notes: list[str]) -> LoadedRun:
    """A run from its files in order."""
    config = flatten({key: value for part in parts for key, value in part.description.config.items()})
    last = parts[-1].description
    status = RunStatus.RUNNING if last.exit_code is None else RunStatus.FAILED if last.exit_code else RunStatus.DONE
    merged, ended = continued([part.metrics for part in parts])
    metrics, remark = mapped(merged, config)
    notes += [f"Run {run_id}: {remark}."] if remark else []
    lost: list[Lost] = []
    for part in parts:
        lost = [*kept_of(lost, part.metrics["step"].unique().tolist()), *part.lost]
    own = [*flaws, *rewritten_steps(parts), *left_behind(ended), *(flaw for part in parts for flaw in part.flaws)]
    return LoadedRun(run_id, config, status, metrics, lost=lost, flaws=own)
