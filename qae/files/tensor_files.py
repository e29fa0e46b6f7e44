"""Whether a file of tensors is the one that was written; torch-free."""

import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO


def flaw(file: Path | BinaryIO, *, whole: bool = True) -> str | None:
    """What is wrong with a file that `torch.save` wrote: a zip archive with a checksum for each part.

    `torch.load` does not compare the checksums: a byte that changed on disk would be a weight that changed.

    Args:
        file: its path, or the open file, which is read from the start.
        whole: whether each part is read and compared with its checksum; else only the list of parts is read.

    Returns:
        the flaw in a few words; None where there is none.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip() if whole else None
            # Python finds an archive behind other bytes, torch does not.
            before = min((part.header_offset for part in archive.infolist()), default=0)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        return str(error)
    if before:
        return f"{before} bytes stand before it"
    return f"the checksum of {broken} does not fit" if broken else None
