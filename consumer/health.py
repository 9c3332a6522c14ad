"""`/metrics`, `/livez` and `/readyz`: what a monitor and a supervisor ask the worker, each answer with a reason."""

from __future__ import annotations

import threading
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from consumer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry

STALE_SECONDS: Final = 60.0
"""A loop that has not turned for so long is stuck: its longest bounded call, a full producer queue, takes 30 s."""


class Health:
    """What the loop says of itself; read from the HTTP thread.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._beat_at = clock()
        self._not_ready: str | None = "starting"

    def beat(self) -> None:
        """Say that the loop turns."""
        self._beat_at = self._clock()

    def ready(self) -> None:
        """Say that the group was joined and every assigned partition is restored."""
        self._not_ready = None

    def not_ready(self, reason: str) -> None:
        """Say why not."""
        self._not_ready = reason

    def live(self) -> tuple[bool, str]:
        """Tell whether the loop turns, and why one thinks so."""
        age = self._clock() - self._beat_at
        if age > STALE_SECONDS:
            return False, f"the loop has not turned for {age:.0f} s"
        return True, f"the loop turned {age:.1f} s ago"

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
