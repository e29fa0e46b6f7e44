"""JSON lines as any program writes them, read so that no line is lost for a value that nobody looks at."""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

# Python refuses to turn more digits than 4,300 into a whole number; nobody means such a number exactly.
_MOST_DIGITS = 4000
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON lines.

    Attributes:
        records: the objects that could be read, in order.
        damaged: how many lines could not be read (a torn tail, zeros) or hold no object.
        damaged_bytes: bytes of these lines.
    """

    records: list[dict[str, object]] = field(default_factory=list)
    damaged: int = 0
    damaged_bytes: int = 0


def read_jsonl(path: Path) -> JsonLines:
    """Every readable record of a JSONL file; a missing file has none."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return JsonLines()


def parse(content: bytes) -> JsonLines:
    """Every readable record of the content of a JSONL file."""
    records: list[dict[str, object]] = []
    damaged = damaged_bytes = 0
    for line in _lines(content):
        try:
            record = loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            damaged += 1
            damaged_bytes += len(line)
    return JsonLines(records, damaged, damaged_bytes)


def loads(text: bytes) -> object:
    """A JSON value, also with what Python's json writes beyond the standard and in bytes that are not all UTF-8.

    NaN, Infinity and -Infinity are read as numbers, halves of surrogate pairs as they are, whole numbers of any size;
    a byte that is no UTF-8 becomes U+FFFD and costs the rest nothing.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text.decode("utf-8", "replace"), strict=False, parse_int=_whole)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else float(digits)


def _lines(content: bytes) -> Iterator[bytes]:
    if content.startswith(_UTF_16):
        content = content.decode("utf-16", "replace").encode("utf-8", "replace")
    lines = (line.strip() for line in content.removeprefix(codecs.BOM_UTF8).split(b"\n"))
    return (line for line in lines if line)
