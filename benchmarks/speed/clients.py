"""Clients that keep their connection and send the next request when the last is answered.

python -m benchmarks.speed.clients PORT PATH BODIES CLIENTS SECONDS    # prints {"seconds": [...], "lasted": ...}
"""

import asyncio
import json
import sys
import time
from pathlib import Path

_UNCOUNTED = 0.2
"""Seconds at the beginning."""


class Client(asyncio.Protocol):
    """One connection: raw HTTP, so that the clients take as little of the machine as can be."""

    def __init__(self, requests: list[bytes], first: int) -> None:
        self._requests, self._next = requests, first
        self._received = bytearray()
        self._sent = 0.0
        self.answers: list[tuple[float, float]] = []
        self.failed: BaseException | None = None

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length_of(head):
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed = RuntimeError(f"{head.splitlines()[0].decode()}: {bytes(body[:300]).decode(errors='replace')}")
            self._transport.close()
            return
        self.answers.append((now, now - self._sent))
        self._received.clear()
        self._send()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.failed = self.failed or exc

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1


def _length_of(head: bytes | bytearray) -> int:
    for line in bytes(head).lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise RuntimeError("the answer has no content-length")


def as_request(port: int, path: str, body: str) -> bytes:
    """The bytes of one."""
    kind = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    return f"{kind}content-length: {len(body.encode())}\r\n\r\n{body}".encode()


async def load(port: int, path: str, bodies: list[str], clients: int, seconds: float) -> tuple[list[float], float]:
    """The time of each answer, and for how long they were counted."""
    requests = [as_request(port, path, body) for body in bodies]
    loop = asyncio.get_running_loop()
    step = len(requests) // clients
    open_ = [
        await loop.create_connection(lambda place=place: Client(requests, place * step), "127.0.0.1", port)
        for place in range(clients)
    ]
    began = time.perf_counter() + _UNCOUNTED
    await asyncio.sleep(_UNCOUNTED + seconds)
    ended = time.perf_counter()
    for transport, client in open_:
        transport.close()
        if client.failed is not None:
            raise client.failed
    return [took for _, one in open_ for at, took in one.answers if began <= at <= ended], ended - began


def main(port: str, path: str, bodies: str, clients: str, seconds: str) -> None:
    """Load a server, and print what was seen."""
    lines = Path(bodies).read_text(encoding="utf-8").splitlines()
    found, lasted = asyncio.run(load(int(port), path, lines, int(clients), float(seconds)))
    print(json.dumps({"seconds": found, "lasted": lasted}))


if __name__ == "__main__":
    main(*sys.argv[1:])
