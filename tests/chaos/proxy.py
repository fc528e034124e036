"""An HTTP proxy before the object store, which refuses, delays, loses and doubles requests.

One request a connection, and the answer ends with the connection: so nothing of HTTP has to be
known but where a request ends. Headers pass untouched, for they are signed.
"""

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

HOST = "127.0.0.1"
LATE_S = (0.2, 1.5)
HEAD_LIMIT = 65_536

Result = TypeVar("Result")


class Request(NamedTuple):
    head: bytes
    body: bytes

    @property
    def is_put(self) -> bool:
        return self.head.startswith(b"PUT ")


class Proxy:
    """Passes requests on to a port of this machine. While it is told a fault, some fall to it.

    Args:
        upstream: The port.
        seed: Decides which requests.
    """

    def __init__(self, upstream: int, seed: int) -> None:
        self.fired: Counter[str] = Counter()
        self._upstream = upstream
        self._chance = random.Random(seed)
        self._fault: str | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        serving = asyncio.start_server(self._serve, HOST, 0, limit=HEAD_LIMIT)
        self._server = self._in_loop(serving)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def torment(self, fault: str) -> None:
        """From now on, two requests in three that can fall to this fault do."""
        self._fault = fault

    def heal(self) -> None:
        """No more faults; returns when all that is late has arrived."""
        self._fault = None
        self._in_loop(self._settled())

    def close(self) -> None:
        self.heal()
        self._server.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _in_loop(self, step: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(30)

    async def _settled(self) -> None:
        while self._late:
            await asyncio.wait(self._late)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader, writer)
            answer = await self._answer(request)
            if answer is None:
                _reset(writer)
                return
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two has gone: so goes the other
        finally:
            writer.close()

    async def _answer(self, request: Request) -> bytes | None:
        fault = self._fault
        if fault is None or not self._falls(fault, request):
            return await self._pass(request)
        self.fired[fault] += 1
        return await FAULTS[fault](self, request)

    def _falls(self, fault: str, request: Request) -> bool:
        return (request.is_put or fault in FOR_ALL) and self._chance.random() < 2 / 3

    async def _pass(self, request: Request, part: int | None = None) -> bytes:
        """Passes a request on, or only so many bytes of its body; returns the answer."""
        reader, writer = await asyncio.open_connection(HOST, self._upstream)
        try:
            writer.write(request.head + request.body[:part])
            await writer.drain()
            return b"" if part is not None else await reader.read()
        finally:
            writer.close()

    # The faults. None as an answer: the connection is reset.

    async def _refuse(self, request: Request) -> bytes:
        return _error(503, "SlowDown")

    async def _conflict(self, request: Request) -> bytes:
        return _error(409, "ConditionalRequestConflict")

    async def _reset(self, request: Request) -> None:
        """Nothing has happened."""

    async def _cut(self, request: Request) -> None:
        await self._pass(request, len(request.body) // 2)

    async def _slow(self, request: Request) -> bytes:
        await asyncio.sleep(self._chance.uniform(*LATE_S))
        return await self._pass(request)

    async def _lose_answer(self, request: Request) -> None:
        await self._pass(request)

    async def _late_write(self, request: Request) -> bytes:
        task = asyncio.ensure_future(self._pass_late(request))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return _error(500, "InternalError")

    async def _pass_late(self, request: Request) -> None:
        with suppress(OSError):  # the store is gone, and so is the write
            await self._slow(request)

    async def _twice(self, request: Request) -> bytes:
        await self._pass(request)
        return await self._pass(request)


Deed = Callable[[Proxy, Request], Awaitable[bytes | None]]
FAULTS: dict[str, Deed] = {
    "503": Proxy._refuse,
    "reset": Proxy._reset,
    "slow": Proxy._slow,
    "cut in the middle": Proxy._cut,
    "answer lost": Proxy._lose_answer,
    "written late": Proxy._late_write,
    "409": Proxy._conflict,
    "412 for its own write": Proxy._twice,
}
FOR_ALL = {"503", "reset", "slow"}
"""What befalls reads too; the others are about writes."""


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    kept, length = [first], 0
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if name.lower() == b"expect":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif name.lower() != b"connection":
            kept.append(line)
    whole = b"\r\n".join([*kept, b"Connection: close", b"", b""])
    return Request(whole, await reader.readexactly(length))


def _error(status: int, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>chaos</Message></Error>".encode()
    head = (
        f"HTTP/1.1 {status} Chaos\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a machine does that is gone: with RST, not FIN."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
