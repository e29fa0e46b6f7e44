"""Run stores of earlier toolkits as text, one file per store: what their code wrote, shortened to what is read again.

`python -m tests.layouts.packed STORE NAME` packs a store; do it with small runs before a layout gets a new number.
"""

import base64
import io
import socket
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.txt")))
_LEFT_OUT = ("cache", "figures", "logs", "lock", ".lock")
_HOME, _HOST = "/home/user", "laptop"
_WIDTH = 120


def unpack(name: str, root: Path) -> Path:
    """Write a packed store below a folder and return its root."""
    packed = base64.b64decode((FOLDER / f"{name}.txt").read_text())
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(root, filter="data")
    return root


def pack(store: Path, name: str) -> None:
    """Pack a store: of checkpoints only the newest of runs that are to go on, of names only neutral ones."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz") as archive:
        for path in _files(store):
            raw = path.read_bytes()
            if path.suffix != ".pt":
                raw = _neutral(raw.decode(), store).encode()
            entry = tarfile.TarInfo(str(path.relative_to(store)))
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    text = base64.b64encode(content.getvalue()).decode()
    lines = (text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH))
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")


def _files(store: Path) -> Iterator[Path]:
    for path in sorted(store.rglob("*")):
        parts = path.relative_to(store).parts
        if path.is_file() and not set(parts) & set(_LEFT_OUT) and _is_needed(path, parts):
            yield path


def _is_needed(path: Path, parts: tuple[str, ...]) -> bool:
    if "checkpoints" not in parts:
        return True
    goes_on = '"done"' not in (path.parents[len(parts) - 2] / "state.json").read_text()
    return goes_on and path == max(path.parent.glob("*"))


def _neutral(text: str, store: Path) -> str:
    own_names = {str(store): f"{_HOME}/runs", str(store.parent): _HOME, f'"{socket.gethostname()}"': f'"{_HOST}"'}
    for own, neutral in own_names.items():
        text = text.replace(own, neutral)
    return text


if __name__ == "__main__":
    pack(Path(sys.argv[1]).resolve(), sys.argv[2])
