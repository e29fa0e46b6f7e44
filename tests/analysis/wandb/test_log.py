"""Reading W&B's offline records: whatever is whole is read, wherever the file is damaged."""

import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.sources.wandb.log import HEADER, Log, NotALogError

BLOCK = 32768


def written(records: list[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    """A file as the client writes it, and from where to where each record lies in it."""
    content = bytearray(HEADER + b"\0")
    places = []
    for record in records:
        start, rest, is_first = len(content), record, True
        while True:
            left = BLOCK - len(content) % BLOCK
            if left < 7:
                content += bytes(left)
                if is_first:
                    start = len(content)
                continue
            part, rest = rest[: left - 7], rest[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[is_first, not rest]
            content += struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            is_first = False
            if not rest:
                break
        places.append((start, len(content)))
    return bytes(content), places


# Lengths that put chunks' borders everywhere in a block: short records, and ones that span blocks.
RECORDS = [bytes([65 + index % 26]) * (7 + 611 * index % 2500) for index in range(60)] + [
    b"x" * 70_000,
    b"y" * 40,
    b"z",
]
CONTENT, PLACES = written(RECORDS)


def read(content: bytes) -> tuple[list[bytes], Log]:
    log = Log(content)
    return list(log.records()), log


def test_a_whole_file_is_read_without_a_gap() -> None:
    records, log = read(CONTENT)
    assert records == RECORDS
    assert log.gaps == []
    assert log.end == len(CONTENT)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 100_000), st.sampled_from(["zeros", "flipped", "noise"]))
@example(0, 7, "zeros")
@example(BLOCK - 3, 10, "flipped")
@example(PLACES[4][0], 1, "flipped")
def test_damage_anywhere_costs_only_the_records_that_it_touches(start: int, length: int, form: str) -> None:
    """Records that share no byte with the damage are read, in order; the others are a gap."""
    end = min(start + length, len(CONTENT))
    hole = CONTENT[start:end]
    filled = {
        "zeros": bytes(len(hole)),
        "flipped": bytes(byte ^ 0xFF for byte in hole),
        "noise": bytes((byte * 31 + 7 * index + 101) % 256 for index, byte in enumerate(hole)),
    }[form]
    damaged = CONTENT[:start] + filled + CONTENT[end:]
    records, log = read(damaged)
    whole = [
        record
        for record, (first, last) in zip(RECORDS, PLACES, strict=True)
        if last <= start or first >= end or damaged[first:last] == CONTENT[first:last]
    ]
    assert records == whole
    assert log.gaps or len(whole) == len(RECORDS)
    assert damaged != CONTENT or not log.gaps
    for gap, following in pairwise(log.gaps):
        assert gap.start + gap.length < following.start


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(CONTENT)))
def test_a_file_cut_anywhere_gives_every_record_before_the_cut(cut: int) -> None:
    records, log = read(CONTENT[:cut])
    whole = [record for record, (_, last) in zip(RECORDS, PLACES, strict=True) if last <= cut]
    assert records == whole
    if cut > 7:
        assert log.end == max((last for _, last in PLACES if last <= cut), default=0)
    assert all(gap.at_end for gap in log.gaps)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, len(CONTENT)), st.integers(1, 5000))
def test_bytes_that_were_inserted_cost_at_most_the_record_around_them(place: int, length: int) -> None:
    """A file system may leave blocks of zeros; chunks after them no longer lie where the writer put them."""
    shifted = CONTENT[:place] + bytes(BLOCK * -(-length // BLOCK)) + CONTENT[place:]
    records, _ = read(shifted)
    whole = [record for record, (first, last) in zip(RECORDS, PLACES, strict=True) if last <= place or first >= place]
    assert records == whole


def test_other_files_are_refused_and_an_empty_one_is_empty() -> None:
    assert read(b"") == ([], Log(b""))
    for content in (b"PAR1" * 100, b":W&A" + bytes(50), bytes(100)):
        with pytest.raises(NotALogError):
            read(content)
