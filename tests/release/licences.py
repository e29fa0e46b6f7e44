"""The licence of every locked package, as its metadata states it: `make licences` writes docs/licences.md."""

import re
from importlib import metadata

from tests import ROOT

PAGE = ROOT / "docs" / "licences.md"
LOCK = ROOT / "requirements.lock"
# Those that ask for their text to be kept, MPL for changes of its own files too.
OPEN = frozenset(
    {"0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC", "MIT"}
    | {"MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib", "LLVM-exception"}
)
NVIDIA = "LicenseRef-NVIDIA-Proprietary"
# What metadata says in words, and packages whose metadata says nothing or that are for another system.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": NVIDIA,
    "Other/Proprietary License": NVIDIA,
    "Python Software Foundation License": "PSF-2.0",
}
_BY_HAND = {"appnope": "BSD-2-Clause", "cuda-toolkit": NVIDIA}
_HEAD = """\
# Licences
Of every package in `requirements.lock`, as its metadata states it (`make licences` writes this page). BSD stands for a
BSD licence whose number of clauses the metadata leaves open.

| package | licence |
|---|---|
"""


def locked() -> list[str]:
    """Names of the locked packages, in order."""
    return sorted(set(re.findall(r"^([\w.-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)), key=str.lower)


def licence(package: str) -> str:
    """The licence of a package as an SPDX expression; "unknown" where neither metadata nor this file says."""
    try:
        said = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return _BY_HAND.get(package, "unknown")
    classifiers = [line.split(" :: ")[-1] for line in said.get_all("Classifier", []) if line.startswith("License")]
    first_lines = [text.splitlines()[0] for text in said.get_all("License", []) if text]
    words: list[str] = said.get_all("License-Expression", []) or classifiers or first_lines
    return " AND ".join(_SPDX.get(word, word) for word in words) or _BY_HAND.get(package, "unknown")


def parts(expression: str) -> set[str]:
    """The licences that an expression names."""
    return {part for part in re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", expression) if part.strip()}


def page() -> str:
    """The page with all of them."""
    return _HEAD + "".join(f"| {name} | {licence(name)} |\n" for name in locked())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
