"""The network between the workers and the brokers: TCP proxies whose connections are cut, slowed and left half-open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final, Self, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

T = TypeVar("T")

_CHUNK: Final = 65_536
_PATIENCE_SECONDS: Final = 60.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class _Link:
    """One connection of a client, passed on to its broker."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.delay = 0.0
        self.is_half_open = False
        self.held = 0
        self._client = client
        self._broker = broker

    def leave_half_open(self) -> None:
        """Let the broker's side end, and the client's stay as if nothing had happened: nothing answers there."""
        self.is_half_open = True
        _reset(self._broker)

    def cut(self) -> None:
        """Reset both sides."""
        _reset(self._client)
        _reset(self._broker)

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass on what comes from one side until it ends."""
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if self.is_half_open:
                    self.held += len(data)
                    continue
                if self.delay:
                    self.held += len(data)
                    await asyncio.sleep(self.delay)
                sink.write(data)
                await sink.drain()
        if not self.is_half_open or sink is self._broker:  # a half-open one ends when the client's own side does
            self.cut()


class Network:
    """A proxy for each broker, in a thread of its own; a context manager that ends with all connections.

    Args:
        ports: by broker, where its proxy listens and where the broker does.
    """

    def __init__(self, ports: Sequence[tuple[int, int]]) -> None:
        self._ports = ports
        self._links: set[_Link] = set()
        self._held = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for listening, target in self._ports:
            self._await(self._listen(listening, target))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def links(self) -> int:
        """Return how many connections there are, the silent ones included."""
        return self._ask(lambda: len(self._links))

    def live(self) -> int:
        """Return how many connections pass data on."""
        return self._ask(lambda: len(self._passing()))

    def cut(self, rng: random.Random, share: float) -> int:
        """Reset a share of the connections, at least one if there is any; return how many."""

        def act() -> int:
            links = self._chosen(rng, share)
            for link in links:
                link.cut()
            return len(links)

        return self._ask(act)

    def slow(self, rng: random.Random, share: float, delay: float) -> int:
        """Let each piece of data on a share of the connections wait; return on how many."""

        def act() -> int:
            links = self._chosen(rng, share)
            for link in links:
                link.delay = delay
            return len(links)

        return self._ask(act)

    def leave_half_open(self, rng: random.Random, share: float) -> int:
        """Let a share of the connections go silent for their clients, until `heal`; return how many."""

        def act() -> int:
            links = self._chosen(rng, share)
            for link in links:
                link.leave_half_open()
            return len(links)

        return self._ask(act)

    def heal(self) -> int:
        """End what was slowed or half-open: slow ones pass on at once, silent ones are reset; return the bytes held."""

        def act() -> int:
            held, self._held = self._held, 0
            for link in list(self._links):
                held += link.held
                link.held, link.delay = 0, 0.0
                if link.is_half_open:
                    link.cut()
            return held

        return self._ask(act)

    def _passing(self) -> list[_Link]:
        return [link for link in self._links if not link.is_half_open]

    def _chosen(self, rng: random.Random, share: float) -> list[_Link]:
        links = self._passing()
        return rng.sample(links, min(len(links), max(1, round(share * len(links)))))

    async def _listen(self, listening: int, target: int) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(reader, writer, target)

        await asyncio.start_server(serve, "127.0.0.1", listening)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:  # the broker is away: the client sees its connection refused, a moment later
            _reset(writer)
            return
        link = _Link(writer, broker_writer)
        self._links.add(link)
        try:
            await asyncio.gather(link.pump(reader, broker_writer), link.pump(broker_reader, writer))
        finally:
            self._links.discard(link)
            self._held += link.held  # the client may have given up before the fault ends

    async def _end(self) -> None:
        for link in list(self._links):
            link.cut()
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ask(self, action: Callable[[], T]) -> T:
        async def run() -> T:  # where the connections live
            return action()

        return self._await(run())

    def _await(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_PATIENCE_SECONDS)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a firewall that has forgotten the connection does."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
