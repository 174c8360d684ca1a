"""The process that serves: a socket, and uvicorn on it."""

import signal
import socket
from collections.abc import Callable

from counterpoise.errors import UserError, refuse_missing
from counterpoise.table.using.asgi import Service

_SECONDS_OF_SILENCE = 30
_SECONDS_TO_FINISH = 10  # for what is computed when the service stops


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

    from counterpoise.table.using.connection import Bounded

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.stop()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        service,
        http=Bounded,
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
