"""A connection of the service: bounds on what it may hold, and answers that leave in one piece.

uvicorn waits for ever: for headers that are half sent, and for a client that does not read its answer. Here each has a
time, and there is a bound on the number of connections. uvicorn is optional, hence this file is imported when the
service starts.
"""

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 500
SECONDS_FOR_HEADERS = 10.0
SECONDS_TO_READ_AN_ANSWER = 60.0
_FULL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n"
_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Bounded(H11Protocol):
    """HTTP/1.1 with a time for each step of a connection."""

    _for_headers: asyncio.TimerHandle | None = None
    _for_reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Refuse a connection beyond the bound on their number."""
        transport = _InOnePiece(transport)
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.write(_FULL)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Start or stop the time for headers with each piece that arrives."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        for timer in (self._for_headers, self._for_reading):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the time for a client to read its answer."""
        super().pause_writing()
        self._for_reading = self.loop.call_later(SECONDS_TO_READ_AN_ANSWER, self._cut)

    def resume_writing(self) -> None:
        """Stop that time."""
        super().resume_writing()
        if self._for_reading is not None:
            self._for_reading.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Close a silent connection, at once if it has not read its last answer."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self._cut()  # closing would wait for the answer to be read

    def _watch(self) -> None:
        """The time for headers runs while no request is in progress and some bytes of the next may be there."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and self._for_headers is not None:
            self._for_headers.cancel()
            self._for_headers = None
        elif not answering and self._for_headers is None and not self.transport.is_closing():
            self._for_headers = self.loop.call_later(SECONDS_FOR_HEADERS, self._late)

    def _cut(self) -> None:
        """End the connection without its unread answer, which the system would else keep for minutes."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _late(self) -> None:
        self.transport.write(_LATE)
        self.transport.close()


class _InOnePiece:
    """A transport that sends the head of an answer together with its body: one call of the system in place of two.

    uvicorn writes them one after the other, and in between nothing is waited for.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._head = data
        else:
            whole, self._head = self._head + data, b""
            self._transport.write(whole)

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._transport.close()
