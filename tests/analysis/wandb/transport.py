"""The transport of the double of W&B's server: bodies as the client sends them, ranges as it asks for them."""

import gzip
import http.server
import io
import re
import time
import traceback
from collections.abc import Sequence
from typing import Protocol


class Answering(Protocol):
    """What answers requests.

    Attributes:
        latency: seconds before each answer.
        unknown: takes the tracebacks of answers that failed.
    """

    latency: float
    unknown: list[str]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of an answer."""


def handler(server: Answering) -> type[http.server.BaseHTTPRequestHandler]:
    """A request handler that passes on to the server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *_: object) -> None:
            pass

        def _respond(self) -> None:
            body = self._body()
            time.sleep(server.latency)
            try:
                status, content = server.answer(self.command, self.path, body)
            except Exception:
                server.unknown.append(traceback.format_exc())
                status, content = 500, b"{}"
            found = re.match(r"bytes=(\d*)-(\d*)", self.headers.get("range") or "")
            if found and status == 200:
                size = len(content)
                first = int(found[1]) if found[1] else max(0, size - int(found[2]))
                last = min(int(found[2]) if found[1] and found[2] else size - 1, size - 1)
                content = content[first : last + 1]
                self.send_response(206)
                self.send_header("content-range", f"bytes {first}-{last}/{size}")
            else:
                self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.send_header("accept-ranges", "bytes")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("transfer-encoding") == "chunked":
                body = b"".join(_chunks(self.rfile))
            return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

        do_GET = do_POST = do_PUT = do_HEAD = _respond

    return Handler


def _chunks(stream: io.BufferedIOBase) -> Sequence[bytes]:
    chunks = []
    while length := int(stream.readline().split(b";")[0], 16):
        chunks.append(stream.read(length))
        stream.readline()
    stream.readline()
    return chunks
