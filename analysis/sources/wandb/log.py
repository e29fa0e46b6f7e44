"""The framing of W&B's offline files: records out of bytes, whatever happened to them.

A file is a header of seven bytes and then blocks of 32 KiB as in LevelDB's log. A record is one chunk or several in
a row, and no chunk crosses a block's border. A chunk has a header (crc32, length, kind) and data. The checksum is the
plain IEEE crc32 over kind and data, not LevelDB's masked crc32c (wandb/core/pkg/leveldb).
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

HEADER = b":W&B\xe1\xbe"
_HEADER_SIZE = 7
_BLOCK = 32768
_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# The last byte of a chunk's header: zeros, which holes are made of, are passed over at once.
_KIND = re.compile(rb"[\x01-\x04]")
_CRC_OF_KIND = {kind: zlib.crc32(bytes([kind])) for kind in (_FULL, _FIRST, _MIDDLE, _LAST)}


class NotALogError(ValueError):
    """The bytes hold no record and do not begin as an offline file does."""


@dataclass(frozen=True)
class Gap:
    """Bytes that belong to no readable record: from where, how many, and whether they are the file's last."""

    start: int
    length: int
    at_end: bool

    def __str__(self) -> str:
        if self.at_end:
            return f"the last {self.length:,} bytes (from byte {self.start:,}) are no whole record"
        return f"{self.length:,} bytes from byte {self.start:,} on are unreadable"


@dataclass
class Log:
    """The records of an offline file; `gaps` is complete once `records` is exhausted.

    Attributes:
        content: the file's bytes.
        gaps: what could not be read, in order.
        end: where the last whole record ends.
    """

    content: bytes
    gaps: list[Gap] = field(default_factory=list)
    end: int = 0

    def records(self) -> Iterator[bytes]:
        """Every whole record in order.

        After damage the next chunk is the first place from there on where a header fits and its checksum holds, so
        that what is whole after the damage is read, in the same block too. A record with a part missing is a gap.

        Raises:
            NotALogError: see there; an empty file is a log without records.
        """
        content, size = self.content, len(self.content)
        position = _HEADER_SIZE
        if size and content[: len(HEADER)] != HEADER[:size]:
            position = 0
        parts: list[bytes] = []
        # Where the bytes begin that no record has accounted for yet.
        unread = position
        while position < size:
            left = _BLOCK - position % _BLOCK
            if left < _CHUNK.size and not any(content[position : position + left]):
                if unread == position and not parts:
                    unread += left
                position += left
                continue
            kind, end = self._chunk(position)
            if kind == 0:
                position = self._next_chunk(position)
                parts = []
                continue
            if kind in (_FULL, _FIRST):
                self._close_gap(unread, position)
                unread = position
                parts = []
            elif not parts:
                position = end
                continue
            data = content[position + _CHUNK.size : end]
            position = end
            if kind in (_FIRST, _MIDDLE):
                parts.append(data)
                continue
            self.end = unread = end
            yield data if kind == _FULL else b"".join([*parts, data])
            parts = []
        self._close_gap(unread, size)
        if size and self.end == 0 and content[: len(HEADER)] != HEADER[:size]:
            raise NotALogError("it does not begin as an offline file of W&B does and holds no record")

    def _chunk(self, position: int) -> tuple[int, int]:
        """Kind and end of the chunk at a position; kind 0 where there is no whole one."""
        content = self.content
        if position + _CHUNK.size > len(content):
            return 0, position
        checksum, length, kind = _CHUNK.unpack_from(content, position)
        end = position + _CHUNK.size + length
        fits = _CHUNK.size + length <= _BLOCK - position % _BLOCK and end <= len(content)
        if kind not in _CRC_OF_KIND or not fits:
            return 0, position
        if zlib.crc32(memoryview(content)[position + _CHUNK.size : end], _CRC_OF_KIND[kind]) != checksum:
            return 0, position
        return kind, end

    def _next_chunk(self, position: int) -> int:
        """The next position with a whole chunk; the file's end where there is none."""
        offset_of_kind = _CHUNK.size - 1
        for found in _KIND.finditer(self.content, position + 1 + offset_of_kind):
            candidate = found.start() - offset_of_kind
            if self._chunk(candidate)[0]:
                return candidate
        return len(self.content)

    def _close_gap(self, start: int, end: int) -> None:
        if start < end:
            self.gaps.append(Gap(start, end - start, at_end=end == len(self.content)))
