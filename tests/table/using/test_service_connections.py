"""What a client may do to a connection of the service: pauses, half requests, and requests that are none."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import polars as pl
import pytest

from counterpoise.errors import UserError
from counterpoise.table.using import connection, listening

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    import counterpoise as cp

    rng = np.random.default_rng(0)
    x, kind = rng.normal(size=300), rng.choice(["a", "b"], 300)
    frame = pl.DataFrame(
        {"x": x, "kind": kind, "y": np.where(x + (kind == "a") + rng.normal(size=300) > 1, "yes", "no")}
    )
    out = tmp_path_factory.mktemp("limits") / "model"
    cp.train(frame, target="y", learners=("lightgbm",), budget=10.0).save(out)
    return out


SERVES = """
import sys
from counterpoise.table.using import asgi
from counterpoise.table.using import connection, listening
from counterpoise.table.using.serve import serve
connection.SECONDS_FOR_HEADERS, connection.SECONDS_TO_READ_AN_ANSWER, connection.MOST_CONNECTIONS = 1.0, 1.0, 60
asgi.SECONDS_FOR_A_BODY = 2.0
serve(sys.argv[1], port=0, ready=lambda address: print(address, flush=True))
"""


@contextlib.contextmanager
def process(saved):
    command = [sys.executable, "-c", SERVES, str(saved)]
    one = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        yield one, one.stdout.readline().strip().removeprefix("http://").split(":")
    finally:
        one.kill()
        one.communicate()


@pytest.fixture(scope="module")
def address(saved):
    with process(saved) as (_, place):
        yield place


def connected(address):
    return socket.create_connection(tuple(address), timeout=60)


def everything(connection):
    """What is sent until the other end closes, however it does."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            found += piece
    return found


def exchange(address, request):
    with connected(address) as connection:
        connection.sendall(request)
        return everything(connection)


BODY = b'{"rows": [{"x": 1.5, "kind": "a"}]}'


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(BODY)


HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self):
        self.written, self.closed = [], False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


@pytest.mark.parametrize(
    "writes, pieces",
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"{}", b""], [b"HTTP/1.1 200 OK\r\n\r\n{}", b""]),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b""], [b"HTTP/1.1 200 OK\r\n\r\n"]),  # HEAD
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 is", b" old"], [b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 is", b" old"]),
        (
            [b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"x"],
            [b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nx"],
        ),
        ([b"HTTP/1.1 408 Late\r\n\r\n"], [b"HTTP/1.1 408 Late\r\n\r\n"]),
    ],
)
def test_the_head_of_an_answer_goes_with_its_body(writes, pieces):
    wire = Wire()
    transport = connection._InOnePiece(wire)
    for one in writes:
        transport.write(one)
    assert not transport.is_closing()
    transport.close()
    assert wire.closed
    assert wire.written == pieces


def test_an_answer_is_sent_at_once():
    """asyncio turns Nagle's algorithm off on sockets that know that they are TCP."""
    with listening.listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP

        async def accepted():
            found = asyncio.get_running_loop().create_future()

            class Protocol(asyncio.Protocol):
                def connection_made(self, transport):
                    option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    found.set_result(option)
                    transport.close()

            server = await asyncio.get_running_loop().create_server(Protocol, sock=listener)
            async with server:
                _, writer = await asyncio.open_connection(*listener.getsockname())
                writer.close()
                return await found

        assert asyncio.run(accepted()) != 0


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (HEAD + b"Connection: close\r\n\r\n" + BODY, b"200", b'"decision"'),
        (HEAD + b"Expect: 100-continue\r\nConnection: close\r\n\r\n" + BODY, b"100", b'"decision"'),
        (b"POST /predict HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, b"200", b'"decision"'),
        (HEAD + b"\r\n" + BODY + HEALTH, b"200", b'"status":"ok"'),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n",
            b"200",
            b'"decision"',
        ),
        (b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200", b"content-length: "),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"422", b"the body is not JSON"),
        (HEAD + b"Content-Type: text/csv\r\nConnection: close\r\n\r\n" + b"x" * len(BODY), b"422", b"not JSON"),
        (HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + BODY, b"415", b"compressed (gzip)"),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx", b"413", b"send fewer rows"),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400", b"Invalid"),
        (b"\x16\x03\x01\x02\x00\x01\x00\xfc", b"400", b"Invalid HTTP request"),
    ],
    ids=[
        "plain",
        "expect",
        "old",
        "pipelined",
        "chunked",
        "head",
        "empty",
        "csv",
        "gzip",
        "long",
        "two lengths",
        "tls",
    ],
)
def test_what_a_request_gets(address, request_, status, words):
    found = exchange(address, request_)
    assert found.startswith(b"HTTP/1.1 " + status)
    assert words in found


def test_a_body_over_the_limit_is_refused_while_it_is_still_sent(address):
    """As Python's and Java's own clients send it: all of it, before they look for an answer."""
    request = urllib.request.Request(f"http://{':'.join(address)}/predict", b" " * 45_000_000, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 413
    assert "more than 16,000,000 bytes" in refused.value.read().decode()


def test_half_sent_headers_have_their_time_and_others_are_answered_meanwhile(address):
    waiting = [connected(address) for _ in range(40)]
    for place, one in enumerate(waiting):
        one.sendall([b"", b"G", b"GET /health HTTP/1.1\r\nHost: x", b"POST"][place % 4])
    assert exchange(address, HEALTH).startswith(b"HTTP/1.1 200")
    for one in waiting:
        with one:
            assert everything(one).startswith(b"HTTP/1.1 408")


def test_a_byte_now_and_then_does_not_prolong_it(address):
    with connected(address) as one, contextlib.suppress(ConnectionError):
        for place in range(200):
            one.sendall(b"GET /health HTTP/1.1\r\nX-Long: "[place : place + 1] or b"x")
            time.sleep(0.05)
        pytest.fail("it was never closed")


def test_a_kept_connection_may_pause_between_requests(address):
    with connected(address) as one:
        for _ in range(2):
            one.sendall(HEAD + b"\r\n" + BODY)
            found = b""
            while b'"decision"' not in found:
                found += one.recv(65_536)
            time.sleep(1.5)  # more than half-sent headers may take
        one.sendall(HEALTH)
        assert everything(one).startswith(b"HTTP/1.1 200")


def test_half_bodies_have_their_time(address):
    with connected(address) as one:
        one.sendall(HEAD + b"\r\n" + BODY[:9])
        assert everything(one).startswith(b"HTTP/1.1 408")


def test_who_does_not_read_is_cut_off(address):
    with connected(address) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(ConnectionError):
            for _ in range(500):
                one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        poll = select.poll()
        poll.register(one, 0)  # nothing but that the connection is gone
        assert poll.poll(30_000)
    assert exchange(address, HEALTH).startswith(b"HTTP/1.1 200")


def test_connections_are_counted(address):
    held = [connected(address) for _ in range(60)]
    try:
        time.sleep(0.2)
        assert exchange(address, HEALTH).startswith(b"HTTP/1.1 503")
    finally:
        for one in held:
            one.close()
    time.sleep(0.2)
    assert exchange(address, HEALTH).startswith(b"HTTP/1.1 200")


def test_a_stop_waits_for_no_half_body_and_clients_that_left_are_no_news(saved):
    with process(saved) as (running, address):
        for size in (0, 5, 30):
            with connected(address) as one:
                one.sendall(HEAD + b"\r\n" + BODY[:size])
        with connected(address) as half, connected(address) as headers:
            half.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b" " * 500_000)
            headers.sendall(b"POST /predict HTT")
            time.sleep(0.3)
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=30) == 0
            assert b'"the service is stopping"' in everything(half)
        assert running.stderr.read() == ""


def test_a_port_that_is_none():
    with pytest.raises(UserError, match="port is -1"):
        listening.listening("127.0.0.1", -1)
