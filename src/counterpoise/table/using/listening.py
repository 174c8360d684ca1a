"""The process that serves: a socket, uvicorn on it, and bounds on what a connection may use.

uvicorn waits for ever: for half-sent headers, and for a client that does not read its answer. Here each has a time
limit, and the number of connections is bounded.
"""

import asyncio
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from counterpoise.errors import UserError, refuse_missing
from counterpoise.table.using.asgi import Service

MOST_CONNECTIONS = 500
SECONDS_FOR_HEADERS = 10.0
SECONDS_TO_READ_AN_ANSWER = 60.0
_SECONDS_OF_SILENCE = 30
_SECONDS_TO_FINISH = 10  # for what is computed when the service stops
_FULL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n"
_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def installed() -> None:
    """Raise `UserError` if a package of the service is not installed."""
    refuse_missing(("uvicorn",), "serve")


def run(service: Service, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until the process is stopped (SIGTERM, SIGINT); requests in progress are finished.

    Parameters
    ----------
    service
        The application.
    host, port
        Address to listen on; port 0 is any free one.
    ready
        Function that is called with the address once the service listens.

    Raises
    ------
    UserError
        If the address cannot be listened on.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.stop()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        service,
        http=_protocol(),
        ws="none",
        lifespan="off",
        # uvicorn would set up logging anew, which closes the handlers of whoever shares the process, and their streams
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_SECONDS_OF_SILENCE,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )
    with listening(host, port) as listener:
        # uvicorn hands the signal on when it has stopped; being told to stop is no failure
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, lambda *_: None)
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}")
        Server(config).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    It knows that it is TCP: asyncio sends answers at once (TCP_NODELAY) on such sockets only, and on the others each
    answer on a kept connection waits 40 ms for the client's acknowledgement.

    Raises
    ------
    UserError
        If the address cannot be listened on.
    """
    if not 0 <= port <= 65_535:
        raise UserError(f"port is {port}; it must lie between 0 and 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UserError(f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another") from None
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, made.detach())


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


def _protocol() -> type[asyncio.Protocol]:
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(H11Protocol):
        """HTTP/1.1 with a time for each step of a connection."""

        _for_headers: asyncio.TimerHandle | None = None
        _for_reading: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            transport = _InOnePiece(transport)
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.write(_FULL)
                transport.close()
            else:
                self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._for_headers, self._for_reading):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._for_reading = self.loop.call_later(SECONDS_TO_READ_AN_ANSWER, self._cut)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._for_reading is not None:
                self._for_reading.cancel()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            if self.transport.get_write_buffer_size():
                self._cut()  # it is silent and has not read its last answer: closing would wait for that

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

    return Bounded
