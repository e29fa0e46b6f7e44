"""What becomes of a program whose output nobody takes any more: a closed pipe, a full disk, an encoding without dashes.

A command that only prints ends: quietly where a pipe was closed, as `head` does, and with a sentence where output was
lost. A launch goes on without output, and says so once.
"""

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

CLOSED_PIPE = 141  # what a shell reports of a program that SIGPIPE ended
OUTPUT_LOST = 1
_HANDLER = "qae"
# Dashes, an ellipsis, comparisons, arrows, quotation marks and the bars of `qae status`.
_PLAIN = {
    "\u2014": "-", "\u2013": "-", "\u2212": "-", "\u2026": "...", "\u2265": ">=", "\u2264": "<=", "\u2192": "->",
    "\u00b1": "+/-", "\u00d7": "x", "\u00b7": ".", "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'",
    "\u2581": "_", "\u2582": ".", "\u2583": ".", "\u2584": "-", "\u2585": "-", "\u2586": "=", "\u2587": "=",
    "\u2588": "#",
}  # fmt: skip


class LastingStream(io.TextIOBase):
    """A stream whose loss is noticed once; what is written after it goes nowhere.

    Args:
        stream: what is written to; None for one that was closed before the program began.
        name: for sentences.
        on_loss: called once with what went wrong; it may end the program.
    """

    def __init__(self, stream: TextIO | None, name: str, on_loss: Callable[[str, OSError], None]) -> None:
        self._stream = stream
        self._name = name
        self._on_loss = on_loss
        self.lost: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        """That of the stream below."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # as above
        """What the stream below does with characters that it cannot write."""
        return getattr(self._stream, "errors", None)

    def write(self, text: str) -> int:
        """Write, unless the stream is lost."""
        if self.lost is None and self._stream is None:
            self._lose(_closed())
        elif self.lost is None and self._stream is not None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Have everything that was written arrive, unless the stream is lost."""
        if self.lost is None and self._stream is not None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The stream's descriptor."""
        if self._stream is None:
            raise _closed()
        return self._stream.fileno()

    def _lose(self, error: OSError) -> None:
        self.lost = error
        # What the stream still holds, and what libraries write by themselves, must not fail again at the end.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
        self._on_loss(self._name, error)


def _closed() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


class _Output:
    """Both streams of this process, and what is to happen when stdout is lost."""

    def __init__(self, *, lasts: bool) -> None:
        self._lasts = lasts
        self._sentence: str | None = None
        self._ending: int | None = None
        self.out = LastingStream(sys.stdout, "stdout", self._on_loss)
        self.err = LastingStream(sys.stderr, "stderr", lambda *_: None)

    def _on_loss(self, name: str, error: OSError) -> None:
        if self._sentence is not None:
            self._tell(error)
        elif not self._lasts:
            raise SystemExit(self._end(name, error))

    def outlast(self, sentence: str) -> None:
        """From now on stdout may go; the sentence says what goes on then."""
        self._sentence = sentence
        if self.out.lost is not None:
            self._tell(self.out.lost)

    def finish(self) -> int | None:
        """Flush; the exit code where output was lost of a program that only prints."""
        self.out.flush()
        self.err.flush()
        if self.out.lost is None or self._sentence is not None:
            return None
        return self._end("stdout", self.out.lost)

    def _end(self, name: str, error: OSError) -> int:
        """The exit code of a program whose output was lost, after a sentence where nobody asked for that."""
        if self._ending is None:
            self._ending = CLOSED_PIPE if error.errno == errno.EPIPE else OUTPUT_LOST
            if self._ending == OUTPUT_LOST:
                why = f"{name} cannot be written ({error.strerror})"
                self.err.write(f"error: {why}; what was printed is not complete\n")
                self.err.flush()
        return self._ending

    def _tell(self, error: OSError) -> None:
        why = "is closed" if error.errno in (errno.EPIPE, errno.EBADF) else f"cannot be written ({error.strerror})"
        self.err.write(f"stdout {why}. {self._sentence}\n")
        self.err.flush()


_current: list[_Output] = []


@contextmanager
def guarded(*, lasts: bool = False) -> Iterator[None]:
    """Stand in for stdout and stderr while a program runs.

    Args:
        lasts: whether the program goes on where stdout is lost before it said what goes on (`outlast`).

    Raises:
        SystemExit: output of a program that only prints was lost.
    """
    _open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().replace("-", "").startswith("utf"):
            stream.reconfigure(errors=_HANDLER)
    before = sys.stdout, sys.stderr
    output = _Output(lasts=lasts)
    sys.stdout, sys.stderr = output.out, output.err  # text streams, without a buffer
    _current.append(output)
    try:
        try:
            yield
        finally:
            _current.remove(output)
            code = output.finish()
            sys.stdout, sys.stderr = before
    except SystemExit as ended:
        if ended.code or code is None:
            raise
    if code is not None:
        raise SystemExit(code)


def outlast(sentence: str) -> None:
    """Have this program go on where stdout is lost, or was.

    Args:
        sentence: what goes on then, and how to see it; said once on stderr.
    """
    if _current:
        _current[-1].outlast(sentence)


def is_lost() -> bool:
    """Whether nobody takes this program's output any more."""
    return bool(_current) and _current[-1].out.lost is not None


def _open_standard_files() -> None:
    """Have all three be open: a file that took the number of a closed one would get what is meant for that."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # None where it was closed


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in text), error.end


codecs.register_error(_HANDLER, _in_plain_letters)
