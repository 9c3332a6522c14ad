"""`/metrics`, `/livez` and `/readyz`: what a monitor and a supervisor ask the worker, each answer with a reason."""

from __future__ import annotations

import threading
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from consumer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry

    from consumer.broker import Polled

STALE_SECONDS: Final = 60.0
"""How long a loop may give no sign of life before /livez fails, at most: what is in good order takes half of it."""


class Stillness(NamedTuple):
    """How long the loop has given no sign of life, and where.

    Attributes:
        seconds: since the last sign.
        phase: what it was about to do then: `start`, `poll`, `process`, `commit`...
        partition: of the record that is being processed, None in other phases.
        offset: likewise.
    """

    seconds: float
    phase: str
    partition: int | None
    offset: int | None

    def where(self) -> str:
        """Return the place in words."""
        if self.offset is None:
            return f"in {self.phase}"
        return f"in {self.phase}, partition {self.partition}, offset {self.offset}"


class Health:
    """What the loop says of itself; read from other threads.

    Args:
        clock: monotonic, in seconds.
        stale_seconds: how long it may give no sign of life before it counts as stuck.

    Attributes:
        record: what the loop processes at this moment. Another one than before is a sign of life too: a model that
            takes a second for each of 2,000 records is slow, not stuck. An attribute, since it is set for each record.
    """

    __slots__ = ("_beat_at", "_clock", "_not_ready", "_phase", "_seen", "_seen_at", "_stale_seconds", "record")

    def __init__(self, clock: Callable[[], float], stale_seconds: float = STALE_SECONDS) -> None:
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._beat_at = self._seen_at = clock()
        self._phase = "start"
        self._not_ready: str | None = "starting"
        self.record: Polled | None = None
        self._seen: Polled | None = None

    def beat(self, phase: str) -> None:
        """Say that the loop turns, and what it does next."""
        self._beat_at = self._clock()
        self._phase = phase
        self.record = None

    def stillness(self) -> Stillness:
        """Tell for how long the loop has given no sign of life, as far as was seen when this was last asked."""
        now, record = self._clock(), self.record
        if record is not self._seen:
            self._seen, self._seen_at = record, now
        seconds = max(0.0, now - max(self._beat_at, self._seen_at))
        if record is None:
            return Stillness(seconds, self._phase, None, None)
        return Stillness(seconds, self._phase, record.partition, record.offset)

    def ready(self) -> None:
        """Say that the group was joined and every assigned partition is restored."""
        self._not_ready = None

    def not_ready(self, reason: str) -> None:
        """Say why not."""
        self._not_ready = reason

    def live(self) -> tuple[bool, str]:
        """Tell whether the loop turns, and why one thinks so."""
        still = self.stillness()
        if still.seconds > self._stale_seconds:
            return False, f"the loop has not turned for {still.seconds:.0f} s, {still.where()}"
        return True, f"the loop turned {still.seconds:.1f} s ago"

    def readiness(self) -> tuple[bool, str]:
        """Tell whether the worker does its work, and why not."""
        reason = self._not_ready
        return reason is None, reason or "joined, and every assigned partition is restored"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Keep the access log out of the JSON log."""


def serve(port: int, registry: CollectorRegistry, health: Health) -> tuple[int, Callable[[], None]]:
    """Serve on all interfaces in a daemon thread; return the port and a function that stops it. Port 0: a free one.

    Raises:
        SettingsError: the port is taken.
    """
    metrics_app = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics_app(environ, start_response)  # type: ignore[no-any-return]
        if path not in {"/livez", "/readyz"}:
            start_response(_status(HTTPStatus.NOT_FOUND), [_TEXT])
            return [b"/metrics, /livez, /readyz\n"]
        good, reason = health.live() if path == "/livez" else health.readiness()
        start_response(_status(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE), [_TEXT])
        return [f"{'ok' if good else 'not ok'}: {reason}\n".encode()]

    try:
        server = make_server("", port, app, _Server, _QuietHandler)
    except OSError as error:
        raise SettingsError(
            f"METRICS_PORT={port} cannot be served: {error.strerror}; choose another port, or 0 for any free one"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def stop() -> None:  # beside the end, which need not wait for it: the server looks up only twice a second
        threading.Thread(target=server.shutdown, name="stop-metrics", daemon=True).start()

    return server.server_port, stop


_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")  # in a new list each time: wsgiref adds to the one it gets


def _status(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"
