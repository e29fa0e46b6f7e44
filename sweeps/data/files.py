"""Preparing data sets: from the hub, its cache or a folder into parquet files with a manifest."""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from qae.run_directory import write_atomic
from sweeps.data import arithmetic
from sweeps.data.sets import (
    DAPO,
    EVALUATION_SETS,
    DataError,
    DataSet,
    Extract,
    Problem,
    check_count,
    extract,
    to_table,
    without_evaluation,
)

ARITHMETIC = "arithmetic"
MANIFEST = "data.json"

_SUFFIXES = (".parquet", ".jsonl")
_READ = ("prompt", "reward_model", "problem", "question", "answer")


@dataclass(frozen=True)
class Record:
    """What the manifest says of a file.

    Attributes:
        source: the hub's repository, a folder, or `generated`.
        revision: the hub's commit; None where it is not known.
        problems: rows of the file.
        source_rows, repeats, malformed: rows read, and of these repeated ones and ones without problem or answer.
        contradictory: ids of problems for which the source gives several answers.
        in_evaluation: left-out training problems: id and the evaluation set that has it.
        train_problems: the limit that was asked for.
        sha256: of the file.
    """

    source: str
    revision: str | None
    problems: int
    source_rows: int
    repeats: int
    malformed: int
    contradictory: tuple[str, ...]
    in_evaluation: Mapping[str, str]
    train_problems: int | None
    sha256: str


@dataclass(frozen=True)
class Request:
    """What `qae data prepare` was asked for.

    Attributes:
        out: folder to write to.
        source: folder with files that were downloaded elsewhere; None for the hub.
        offline: use the hub's cache on this machine only.
        train_problems: limit of training problems; None for all.
        force: write files that are there and intact, too.
    """

    out: Path
    source: Path | None = None
    offline: bool = False
    train_problems: int | None = None
    force: bool = False


@dataclass(frozen=True)
class _Origin:
    source: str
    revision: str | None
    files: tuple[Path, ...]


def prepare(names: Sequence[str], request: Request) -> Iterator[str]:
    """Write the named sets; yields a sentence for each file as it is there.

    Training problems that an evaluation set asks are left out, so DAPO-Math-17k brings the evaluation sets along.

    Args:
        names: of `sweeps.data.sets.HUB_SETS`, or `ARITHMETIC`.
        request: from where, to where and how much.

    Raises:
        DataError: at the end, with a line for every set that could not be had.
    """
    if ARITHMETIC in names:
        yield from _prepare_arithmetic(request)
    failures: list[str] = []
    for data_set in EVALUATION_SETS:
        if data_set.name in names or DAPO.name in names:
            try:
                yield _prepare_evaluation(data_set, request)
            except DataError as error:
                failures.append(str(error))
    if DAPO.name in names:
        try:
            if failures:
                _origin(DAPO, request)  # what else is missing is said now, not at the next try
                failures.append(f"{DAPO.name} was not written, because it is checked against the sets that are missing")
            else:
                yield _prepare_dapo(request)
        except DataError as error:
            failures.append(str(error))
    if failures:
        raise DataError("\n".join(failures))


def read_manifest(folder: Path) -> dict[str, Record]:
    """Records by file name; empty where nothing was prepared.

    Raises:
        DataError: the manifest cannot be read.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        files = orjson.loads(path.read_bytes())["files"]
        return {name: Record(**record) for name, record in files.items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is no manifest of prepared data; move it away and prepare again") from None


def _prepare_arithmetic(request: Request) -> Iterator[str]:
    sets = arithmetic.generate(request.train_problems or arithmetic.DEFAULT_TRAIN_PROBLEMS)
    for data_set, problems in sets.items():
        limit = request.train_problems if data_set is arithmetic.TRAIN else None
        if (there := _intact(data_set, request, limit)) is not None:
            yield there
        else:
            found = Extract(problems, len(problems), 0, 0, ())
            yield _write(data_set, found, problems, _Origin("generated", None, ()), request.out, limit=limit)


def _prepare_evaluation(data_set: DataSet, request: Request) -> str:
    if (there := _intact(data_set, request, None)) is not None:
        return there
    origin = _origin(data_set, request)
    found = extract(_rows(origin.files))
    check_count(data_set, found)
    return _write(data_set, found, found.problems, origin, request.out)


def _prepare_dapo(request: Request) -> str:
    limit = request.train_problems
    if (there := _intact(DAPO, request, limit)) is not None:
        return there
    if limit is not None and limit < 1:
        raise DataError(f"--train-problems={limit} cannot be used: give 1 or more, or leave it out for all")
    origin = _origin(DAPO, request)
    found = extract(_rows(origin.files))
    check_count(DAPO, found)
    asked = {one.name: extract(_rows([request.out / one.file_name])).problems for one in EVALUATION_SETS}
    kept, overlap = without_evaluation(found.problems, asked)
    return _write(DAPO, found, kept[:limit], origin, request.out, overlap=overlap, limit=limit)


def _intact(data_set: DataSet, request: Request, limit: int | None) -> str | None:
    """A sentence that the file is there and stays, or None where it is to be written."""
    path = request.out / data_set.file_name
    if request.force or not path.exists():
        return None
    record = read_manifest(request.out).get(path.name)
    if record is None:
        raise DataError(f"{path} was not written by `qae data prepare`; move it away, or --force replaces it")
    if record.sha256 != _sha256(path.read_bytes()) or (limit is not None and limit != record.train_problems):
        return None
    return f"{path}: {record.problems:,} problems, there and intact (--force writes it again)"


def _write(
    data_set: DataSet,
    found: Extract,
    problems: Sequence[Problem],
    origin: _Origin,
    out: Path,
    *,
    overlap: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> str:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(to_table(data_set, problems), buffer)
    content = buffer.getvalue()
    record = Record(
        source=origin.source,
        revision=origin.revision,
        problems=len(problems),
        source_rows=found.rows,
        repeats=found.repeats,
        malformed=found.malformed,
        contradictory=found.contradictory,
        in_evaluation=dict(overlap or {}),
        train_problems=limit,
        sha256=_sha256(content),
    )
    path = out / data_set.file_name
    write_atomic(path, content)
    records = {name: asdict(one) for name, one in (read_manifest(out) | {path.name: record}).items()}
    write_atomic(out / MANIFEST, orjson.dumps({"files": records}, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    return f"{path}: {_summary(record)}"


def _summary(record: Record) -> str:
    notes = [
        f"{record.source_rows:,} rows of {record.source}" if record.source_rows != record.problems else record.source,
        f"{record.repeats:,} repeats" if record.repeats else "",
        f"{record.malformed:,} without a problem or an answer" if record.malformed else "",
        f"{len(record.contradictory):,} with several answers, the first kept" if record.contradictory else "",
        f"{len(record.in_evaluation):,} left out because an evaluation set asks them" if record.in_evaluation else "",
    ]
    return f"{record.problems:,} problems ({', '.join(note for note in notes if note)})"


def _origin(data_set: DataSet, request: Request) -> _Origin:
    if request.source is not None:
        return _in_folder(data_set, request.source)
    return _on_hub(data_set, offline=request.offline)


def _repository(data_set: DataSet) -> str:
    assert data_set.repository is not None  # noqa: S101  # a generated set has no origin to look for
    return data_set.repository


def _in_folder(data_set: DataSet, folder: Path) -> _Origin:
    repository = _repository(data_set)
    wanted = {_plain(data_set.name), _plain(repository.split("/")[-1])}
    matches = [path for path in sorted(folder.iterdir()) if _plain(path.stem) in wanted] if folder.is_dir() else []
    files = [
        file
        for path in matches
        for file in ([path] if path.is_file() else sorted(path.rglob("*")))
        if file.suffix in _SUFFIXES and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    if not files:
        raise DataError(
            f"{data_set.name} is not in {folder}: on a machine with internet run `hf download {repository} "
            f"--repo-type dataset --local-dir {repository.split('/')[-1]}` and copy that folder there"
        )
    return _Origin(str(folder), None, tuple(files))


def _on_hub(data_set: DataSet, *, offline: bool) -> _Origin:
    from huggingface_hub import snapshot_download

    repository = _repository(data_set)
    patterns = [f"*{suffix}" for suffix in _SUFFIXES]
    try:
        folder = Path(
            snapshot_download(repository, repo_type="dataset", allow_patterns=patterns, local_files_only=offline)
        )
    except Exception as error:  # the client lets its transport's errors through, too
        where = "is not in the hub's cache on this machine" if offline else "cannot be had from the hub"
        cause = "" if offline else f" ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
        raise DataError(
            f"{data_set.name} {where}{cause}: on a machine with internet run `hf download {repository} --repo-type "
            f"dataset --local-dir {repository.split('/')[-1]}`, copy that folder here and give its parent as --source"
        ) from error
    files = tuple(sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES))
    return _Origin(repository, folder.name, files)  # the cache names a snapshot's folder by its commit


def _rows(files: Sequence[Path]) -> Iterator[Mapping[str, object]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
        if path.suffix == ".jsonl":
            yield from _json_rows(path)
            continue
        try:
            with pq.ParquetFile(path) as file:
                columns = [name for name in file.schema_arrow.names if name in _READ]
                for batch in file.iter_batches(columns=columns):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}); download it again") from error


def _json_rows(path: Path) -> Iterator[Mapping[str, object]]:
    with path.open("rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                row = None
            yield row if isinstance(row, dict) else {}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
