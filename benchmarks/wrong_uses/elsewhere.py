"""Where wrong uses are done that would harm this machine: a server that is no broker, a disk of one megabyte."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """Serve web pages, on every path an error, and yield the address."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """Hold a port on all interfaces and yield it."""
    with socket.socket() as holder:
        holder.bind(("", 0))
        holder.listen()
        yield holder.getsockname()[1]


def can_mount() -> bool:
    """Tell whether this user may have a file system of their own, in a mount namespace that ends with its process."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(
        on_disk_of("/mnt", "64k", ["true"]), capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode == 0


def on_disk_of(directory: str, size: str, command: Sequence[str], *, filled: bool = False) -> list[str]:
    """Return a command that runs this one where a disk of that size, empty or full, is mounted on a directory.

    Nobody else sees that disk, and it goes with the process; the command keeps the process id.
    """
    fill = f"dd if=/dev/zero of={directory}/full bs=4k status=none 2>/dev/null;" if filled else ""
    return _within(f'mount -t tmpfs -o size={size} tmpfs {directory} && {{ {fill} exec "$@"; }}', command)


def on_read_only(directory: str, command: Sequence[str]) -> list[str]:
    """Return a command that runs this one where nothing can be written to a directory, not even by root."""
    return _within(f'mount -t tmpfs -o ro tmpfs {directory} && exec "$@"', command)


def _within(script: str, command: Sequence[str]) -> list[str]:
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"]
    return ["unshare", *namespaces, "sh", "-c", script, "sh", *command]
