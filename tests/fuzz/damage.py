"""Ways in which a file comes to harm."""

from dataclasses import dataclass

import orjson
from hypothesis import strategies as st

# Values that JSON can hold and a reader does not expect.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70).map(str)
    | st.integers(-5, 2**60)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class Damaged:
    """A file's content after harm.

    Attributes:
        way: in which it came to harm.
        content: what it holds now.
        loses: whether harm of this kind can only take values away: a reader may not show a number that was not there.
        where: the byte or line, and what stands there now, for people.
    """

    way: str
    content: bytes
    loses: bool
    where: str = ""

    def __repr__(self) -> str:
        return f"{self.way}: {self.where}"


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> Damaged:
    """A file as a full disk, a kill, a bad copy, an editor or another program leaves it."""
    lines = content.splitlines(keepends=True)
    at = draw(st.integers(0, max(0, len(content) - 1)))
    which = draw(st.integers(0, max(0, len(lines) - 1)))
    zeros = draw(st.integers(1, 200))
    losses = {
        "cut": content[:at],
        "zeros at the end": content[:at] + bytes(zeros),
        "a line twice": b"".join([*lines[: which + 1], *lines[which:]]),
        "lines again": b"".join([*lines, *lines[which:]]),
        "a line gone": b"".join(lines[:which] + lines[which + 1 :]),
        "CRLF": content.replace(b"\n", b"\r\n"),
        "a line of rubbish": b"".join(
            [*lines[:which], draw(st.binary(max_size=40)).replace(b"{", b"") + b"\n", *lines[which:]]
        ),
    }
    changes: dict[str, bytes] = {
        "a byte": content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :],
        "bytes": draw(st.binary(max_size=60)),
        "other JSON": orjson.dumps(draw(JSON)),
        **_with_a_value(draw, content, lines, which),
    }
    way = draw(st.sampled_from([*losses, *changes]))
    now = (losses | changes)[way]
    where = f"byte {at} of {len(content)}, line {which}, now {now[max(at - 20, 0) : at + 20]!r}"
    return Damaged(way, now, way in losses, where)


def _with_a_value(draw: st.DrawFn, content: bytes, lines: list[bytes], which: int) -> dict[str, bytes]:
    whole = content.startswith((b"{\n", b"{\r\n")) or len(lines) == 1
    try:
        record = orjson.loads(content if whole else lines[which])
    except (orjson.JSONDecodeError, IndexError):
        return {}
    if not isinstance(record, dict) or not record:
        return {}
    record[draw(st.sampled_from(sorted(record)))] = draw(JSON)
    changed = orjson.dumps(record) + b"\n"
    return {"a value": changed if whole else b"".join([*lines[:which], changed, *lines[which + 1 :]])}
