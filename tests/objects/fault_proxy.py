"""A proxy before an S3 endpoint that answers 503, is slow, says nothing, or cuts connections in the midst of a body."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

_PIECE: Final = 16_384
_BUSY: Final = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 93\r\nConnection: close\r\n\r\n"
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
)
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE).search


class Mode(Enum):
    """What befalls requests and answers."""

    GOOD = "let through"
    BUSY = "503"
    BUSY_WRITES = "503 to what writes"
    SILENT = "taken, and never answered"
    SLOW = "answered late"
    TRICKLE = "answered at once, the body bit by bit"
    CUT_UPLOAD = "cut in the midst of a request's body"
    CUT_DOWNLOAD = "cut in the midst of an answer's body"
    LOST_ANSWER = "done, but the answer is cut"


class FaultProxy:
    """Speaks enough HTTP to see where a request ends: one request after the other on each connection.

    Args:
        port: where the endpoint is.

    Attributes:
        mode: what befalls the next ones; may be changed at any time.
        times: how many requests `mode` befalls, the others are let through; None for all.
        delay: seconds that `SLOW` waits and that a body takes in `TRICKLE`.
        requests: methods of the requests that came, in order.
    """

    def __init__(self, port: int) -> None:
        self.mode = Mode.GOOD
        self.times: int | None = None
        self.delay = 1.0
        self.requests: list[str] = []
        self._endpoint = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="fault-proxy", daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="fault-proxy-connection", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        with contextlib.suppress(OSError), client:
            while self._one(client):
                pass
        self._open.discard(client)

    def _one(self, client: socket.socket) -> bool:
        """Pass on one request and its answer; False where the connection is to end."""
        head = _head(client)
        if head is None:
            return False
        method = head.split(b" ", 1)[0].decode()
        self.requests.append(method)
        mode = self._next_mode()
        if mode is Mode.BUSY or (mode is Mode.BUSY_WRITES and method == "PUT"):
            _drain(client, _body_length(head))
            client.sendall(_BUSY)
            return False
        if mode is Mode.SILENT:
            while client.recv(_PIECE):  # until whoever asked hangs up
                pass
            return False
        with socket.create_connection(self._endpoint) as endpoint:
            # Without keep-alive behind the proxy the end of an answer is the end of its connection.
            endpoint.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            length = _body_length(head)
            if mode is Mode.CUT_UPLOAD and length:
                _pass_on(client, endpoint, length // 2)
                return False
            _pass_on(client, endpoint, length)
            if mode is Mode.SLOW:
                time.sleep(self.delay)
            return self._answer(endpoint, client, mode)

    def _next_mode(self) -> Mode:
        if self.times is None:
            return self.mode
        self.times -= 1
        return self.mode if self.times >= 0 else Mode.GOOD

    def _answer(self, endpoint: socket.socket, client: socket.socket, mode: Mode) -> bool:
        head = _head(endpoint)
        if head is None or mode is Mode.LOST_ANSWER:
            return False
        client.sendall(head)
        length = _body_length(head)
        if mode is Mode.CUT_DOWNLOAD and length > 1:
            _pass_on(endpoint, client, length // 2)
            return False
        began, passed = time.monotonic(), 0
        while piece := endpoint.recv(_PIECE):
            client.sendall(piece)
            passed += len(piece)
            if mode is Mode.TRICKLE:
                time.sleep(max(0.0, began + self.delay * passed / length - time.monotonic()))
        return False


def _head(connection: socket.socket) -> bytes | None:
    """Read up to where a body begins, byte by byte, so that none of it is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return None
        head += byte
    return head


def _body_length(head: bytes) -> int:
    found = _LENGTH(head)
    return int(found[1]) if found else 0


def _pass_on(source: socket.socket, target: socket.socket, length: int) -> None:
    while length:
        piece = source.recv(min(_PIECE, length))
        if not piece:
            return
        target.sendall(piece)
        length -= len(piece)


def _drain(source: socket.socket, length: int) -> None:
    while length and (piece := source.recv(min(_PIECE, length))):
        length -= len(piece)
