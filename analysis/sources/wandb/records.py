"""What the records of an offline file of W&B say: a run's description and its history as columns.

The records are protobuf messages (wandb/proto/wandb_internal.proto). Two thirds of a file are summaries, which repeat
the history, so records are walked by field tags and only those that count are looked into.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa

from analysis.runs.flaw import Flaw
from analysis.runs.flaws import rewritten
from analysis.sources.lost import Lost, lost_values
from analysis.sources.tidy import metric_frame
from analysis.sources.wandb.steps import steps_of
from qae.files import numbers
from qae.metrics import METRICS

# Fields of Record and the messages in it.
_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18
_OUTSIDE_THE_ONEOF = (1, 16, 19, 200)
# An item of a history record as every client since 0.12 writes it: key or one-part nested key, value as JSON. Keys and
# JSON hold no control characters, so the pattern is exact wherever its matches add up to the record's length.
_ITEM = re.compile(rb"\n[\x00-\x7f][\n\x12][\x00-\x7f]([^\x00-\x1f]+)\x82\x01[\x00-\x7f]([^\x00-\x1f]*)", re.DOTALL)
_ITEM_OVERHEAD = 7
# What JSON lacks, the client writes as strings.
_WORDS = {b'"Infinity"': np.inf, b'"-Infinity"': -np.inf, b'"NaN"': np.nan, b"true": 1.0, b"false": 0.0}


@dataclass(frozen=True)
class Description:
    """What a file says of its run.

    Attributes:
        run_id, entity, project, group, job_type, name: as W&B has them; "" where unset.
        tags: as set by the client.
        config: the configuration, nested as it was given.
        exit_code: of the process; None where the file has no end.
        started: of the first run record, seconds since the epoch; None where there is none.
        starting_step: W&B's own step that a resumed run goes on from.
        first_logged, last_logged: times of the first and last row of the history; None without any.
    """

    run_id: str = ""
    entity: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, object] = field(default_factory=dict)
    exit_code: int | None = None
    started: float | None = None
    starting_step: int = 0
    first_logged: float | None = None
    last_logged: float | None = None


_TEXTS = {1: "run_id", 2: "entity", 3: "project", 6: "group", 7: "job_type", 8: "name"}


@dataclass(frozen=True)
class History:
    """The history of a file.

    Attributes:
        frame: columns step, name (categorical), value.
        lost: values of metrics that are no number.
        flaws: steps that could not be used, numbers that were logged twice.
        first_logged, last_logged: times of its first and last row, seconds since the epoch.
    """

    frame: pd.DataFrame
    lost: tuple[Lost, ...]
    flaws: tuple[Flaw, ...]
    first_logged: float | None
    last_logged: float | None


class HistoryColumns:
    """Collects history items record by record and turns them into a tidy frame."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._values: list[bytes] = []
        self._counts: list[int] = []
        self._steps: list[int] = []

    def add(self, payload: bytes) -> None:
        """A HistoryRecord."""
        parts = _ITEM.split(payload)
        keys, values, end = parts[1::3], parts[2::3], parts[-1]
        # Exact only if nothing but the step lies outside the matches: an item of another form may be the last one.
        whole = len(b"".join(parts)) + _ITEM_OVERHEAD * len(keys) == len(payload)
        if whole and not any(parts[:-1:3]) and _is_step_alone(end):
            step = _step(end)
        else:
            keys, values, step = _walk_history(payload)
        self._keys += keys
        self._values += values
        self._counts.append(len(keys))
        self._steps.append(step)

    def read(self) -> History:
        """All of it: numbers only, without W&B's own keys; of a step and name the last one."""
        codes, names = pd.factorize(np.array(self._keys, dtype=object))
        rows = np.repeat(np.arange(len(self._counts)), self._counts)
        values = _numbers(self._values)
        texts = [name.decode("utf-8", "replace") for name in names]
        hidden = np.array([name.startswith("_") for name in texts], dtype=bool)
        shown = ~hidden[codes] if len(names) else np.ones(len(codes), dtype=bool)
        axis = steps_of(rows, codes, values, texts, np.array(self._steps, dtype=np.int64), shown)
        steps = axis.steps
        absent = np.isnan(values)
        kept = ~absent & (steps[rows] >= 0) & shown
        lost = self._lost(np.flatnonzero(absent & (steps[rows] >= 0) & shown), steps[rows], codes, texts, codes[kept])
        logged = values[codes == texts.index("_timestamp")] if "_timestamp" in texts else np.empty(0)
        logged = logged[np.isfinite(logged)]
        rows, values = rows[kept], values[kept]
        used, codes = np.unique(codes[kept], return_inverse=True)
        frame = metric_frame(steps[rows], codes, [texts[code] for code in used], values)
        flaws = list(axis.flaws)
        if len(np.unique(steps)) < len(steps):
            repeated = rewritten(frame)
            flaws += [repeated] if repeated else []
            frame = frame.drop_duplicates(["step", "name"], keep="last", ignore_index=True)
        times = (float(logged.min()), float(logged.max())) if len(logged) else (None, None)
        return History(frame, lost, tuple(flaws), *times)

    def _lost(
        self,
        absent: npt.NDArray[np.int64],
        steps: npt.NDArray[np.int64],
        codes: npt.NDArray[np.int64],
        names: list[str],
        numeric: npt.NDArray[np.int64],
    ) -> tuple[Lost, ...]:
        """Values that are no number, of names that have numbers or are known; tables and media are none."""
        wanted = {int(code) for code in np.unique(numeric)}
        wanted |= {code for code, name in enumerate(names) if name in METRICS}
        found: dict[str, list[tuple[int, object]]] = {}
        for item in absent:
            text = self._values[item]
            if codes[item] in wanted and text[:1] not in (b"{", b"["):
                value = np.nan if text in (b'"NaN"', b"NaN") else text.decode("utf-8", "replace").strip('"')
                found.setdefault(names[codes[item]], []).append((int(steps[item]), value))
        return lost_values(found, found)


def kind_and_payload(record: bytes) -> tuple[int, bytes]:
    """The number of the message in a record, and the message; 0 where there is none."""
    position, size = 0, len(record)
    while position < size:
        tag, position = _varint(record, position)
        number, wire = tag >> 3, tag & 7
        if wire == 2:
            length, position = _varint(record, position)
            if number not in _OUTSIDE_THE_ONEOF:
                # A summary is half of the file: its bytes need no copy.
                return number, record[position : position + length] if number != 3 else b""
            position += length
        else:
            position = _skip(record, position, wire)
    return 0, b""


def described(description: Description, kind: int, payload: bytes) -> Description:
    """The description with what one more record says."""
    if kind == _RUN:
        return _with_run(description, payload)
    if kind == _CONFIG:
        return replace(description, config=_with_config(description.config, payload))
    if kind == _EXIT:
        codes = [value for number, value in fields(payload) if number == 1 and isinstance(value, int)]
        return replace(description, exit_code=codes[-1] if codes else 0)
    return description


def is_history(kind: int) -> bool:
    """Whether the message is a HistoryRecord."""
    return kind == _HISTORY


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Field numbers and values of a protobuf message: integers of varints, bytes of everything else.

    Raises:
        ValueError, IndexError: it is none.
    """
    position, size = 0, len(message)
    while position < size:
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
        elif wire == 2:
            length, position = _varint(message, position)
            yield number, message[position : position + length]
            position += length
        else:
            end = _skip(message, position, wire)
            yield number, message[position:end]
            position = end


def _with_run(description: Description, payload: bytes) -> Description:
    texts: dict[str, str] = {}
    tags: list[str] = []
    config = description.config
    started, starting_step = description.started, description.starting_step
    for number, value in fields(payload):
        if not isinstance(value, bytes):
            starting_step = value if number == 14 else starting_step
        elif number == 17 and started is None:
            # Of a resumed run a later record has the start of the first attempt.
            started = _timestamp(value)
        elif number in _TEXTS:
            texts[_TEXTS[number]] = value.decode("utf-8", "replace")
        elif number == 10:
            tags.append(value.decode("utf-8", "replace"))
        elif number == 4:
            config = _with_config(config, value)
    known = {name: texts.get(name, getattr(description, name)) for name in _TEXTS.values()}
    return replace(
        description,
        **known,
        tags=tuple(tags) or description.tags,
        config=config,
        started=started,
        starting_step=starting_step,
    )


def _timestamp(message: bytes) -> float | None:
    """Seconds since the epoch of a protobuf timestamp; None for the default, which no clock shows."""
    parts = {number: value for number, value in fields(message) if isinstance(value, int)}
    seconds = parts.get(1, 0) + parts.get(2, 0) / 1e9
    return seconds or None


def _with_config(config: dict[str, object], payload: bytes) -> dict[str, object]:
    changed = dict(config)
    for number, item in fields(payload):
        if not isinstance(item, bytes) or number not in (1, 2):
            continue
        path, value = _item(item)
        inner = changed
        for part in path[:-1]:
            below = inner.get(part)
            inner[part] = inner = dict(below) if isinstance(below, dict) else {}
        if not path:
            continue
        if number == 1:
            inner[path[-1]] = _json(value) if value else None
        else:
            inner.pop(path[-1], None)
    return {key: value for key, value in changed.items() if key != "_wandb"}


def _item(message: bytes) -> tuple[list[str], bytes]:
    """Path and JSON value of a ConfigItem or HistoryItem."""
    path: list[str] = []
    text = b""
    for number, value in fields(message):
        if isinstance(value, bytes) and number in (1, 2):
            path.append(value.decode("utf-8", "replace"))
        elif isinstance(value, bytes) and number == 16:
            text = value
    return path, text


def _walk_history(payload: bytes) -> tuple[list[bytes], list[bytes], int]:
    """Keys and values of items of any form, and the record's step."""
    keys: list[bytes] = []
    values: list[bytes] = []
    for number, message in fields(payload):
        if number == 1 and isinstance(message, bytes):
            path, value = _item(message)
            keys.append(".".join(path).encode())
            values.append(value)
    return keys, values, _step(payload)


def _is_step_alone(end: bytes) -> bool:
    """Whether the bytes after the items are the step's message or nothing."""
    return not end or (end[0] == 0x12 and len(end) >= 2 and end[1] == len(end) - 2)


def _json(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # The client writes infinite settings as Infinity, which is no JSON but Python's.
        return json.loads(text)


def _step(message: bytes) -> int:
    """The step of a HistoryRecord or of its end; -1 where it has none."""
    for number, inner in fields(message):
        if number == 2 and isinstance(inner, bytes):
            # A step of 0 is the default, which protobuf leaves out.
            return next((value for field_, value in fields(inner) if field_ == 1 and isinstance(value, int)), 0)
    return -1


def _numbers(values: list[bytes]) -> npt.NDArray[np.float64]:
    """JSON values as numbers; NaN for what is none, an undefined number included."""
    try:
        # Five times as fast as float, and as exact.
        texts = pa.array(values, type=pa.large_binary()).view(pa.large_string())
        return np.asarray(texts.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except ValueError:
        return np.fromiter(map(_number, values), dtype=np.float64, count=len(values))


def _number(value: bytes) -> float:
    try:
        return _WORDS[value] if value in _WORDS else float(value)
    except ValueError:
        # Text that holds a number, "0.5", is one.
        found = numbers.number(value[1:-1].decode("utf-8", "replace")) if value[:1] == b'"' else None
        return np.nan if found is None else found


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = message[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    shift = 7
    while True:
        part = message[position]
        position += 1
        value |= (part & 0x7F) << shift
        if part < 0x80:
            return value, position
        shift += 7


def _skip(message: bytes, position: int, wire: int) -> int:
    if wire == 0:
        return _varint(message, position)[1]
    if wire in (1, 5):
        return position + (8 if wire == 1 else 4)
    raise ValueError(f"no protobuf message: wire type {wire}")
