"""What a worker process sets up around a run: its output and its temporary files."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_temporary_files() -> Iterator[None]:
    """Give libraries a folder that goes with the run: forked workers skip the exit hooks that would clean up."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="qae-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def redirect_output(path: Path) -> None:
    """Send this process's output, native libraries' included, to the end of a log."""
    path.parent.mkdir(exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
